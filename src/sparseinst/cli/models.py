"""`sparseinst models`."""

from typing import TYPE_CHECKING

from sparseinst.cli.common import print_table, say

if TYPE_CHECKING:
    from sparseinst.recipe import Preset


def models() -> None:
    """List the networks that come with the package."""
    from sparseinst.zoo import DEFAULT_MODEL, load_preset, preset_names, shipped_weights
    from sparseinst.zoo.models import PUBLISHED_WEIGHTS

    rows = []
    for name in sorted(preset_names(), key=lambda name: (name != DEFAULT_MODEL, name)):
        preset = load_preset(name)
        source = "in the package" if shipped_weights(name) else preset.published.weights or "none: train it"
        rows.append((name, preset.description, source, *_published(preset)))
    print_table(("name", "description", "weights", "AP val", "AP test"), rows)
    say(f"{DEFAULT_MODEL} is what `sparseinst predict` takes without --model.")
    say(
        "AP: mask AP on COCO val2017 and test-dev as published by the authors, whose weights are linked at "
        f"{PUBLISHED_WEIGHTS}: download them and give --model NAME --weights FILE."
    )


def _published(preset: "Preset") -> tuple[str, str]:
    val, test = (
        "-" if value is None else f"{value:.1f}" for value in (preset.published.ap_val, preset.published.ap_test)
    )
    return val, test
