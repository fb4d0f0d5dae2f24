"""`sparseinst models`."""

from typing import TYPE_CHECKING

from sparseinst.cli.telling import print_table, say

if TYPE_CHECKING:
    from sparseinst.recipe import Preset, Published, Variant

_COLUMNS = ("name", "network", "weights", "AP val", "AP test", "FPS", "AP ablation")


def models() -> None:
    """List the networks that come with the package, and what is published about them."""
    from sparseinst.zoo.names import DEFAULT_MODEL, PUBLISHED_WEIGHTS, load_preset, preset_names, shipped_weights

    presets = {name: load_preset(name) for name in preset_names()}
    rows: list[tuple[str, ...]] = []
    for name in sorted(presets, key=lambda name: _order(name, presets[name], DEFAULT_MODEL)):
        published = presets[name].published
        source = "in the package" if shipped_weights(name) else published.weights or "none: train it"
        rows.append((name, presets[name].description, source, *_figures(published), _shown(published.ap_ablation)))
        rows += [("", f"  {variant.what}", "", *_figures(variant), "-") for variant in published.variants]
    print_table(_COLUMNS, rows)
    say(f"{DEFAULT_MODEL} is what `sparseinst predict` takes without --model.")
    say(
        "AP: mask AP on COCO val2017 and test-dev, FPS on an RTX 2080 Ti, and mask AP in the paper's ablation, all as "
        f"published by the authors, whose weights are linked at {PUBLISHED_WEIGHTS}: download them and give "
        "--model FILE.pth."
    )


def _order(name: str, preset: "Preset", first: str) -> tuple[bool, bool, str]:
    return name != first, "published" in preset.model_fields_set, name  # our own before those of the paper


def _figures(published: "Published | Variant") -> tuple[str, str, str]:
    return _shown(published.ap_val), _shown(published.ap_test), _shown(published.fps)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
