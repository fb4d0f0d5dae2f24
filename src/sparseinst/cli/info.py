"""`sparseinst info`."""

import json as jsonlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from sparseinst.cli.early import check_model
from sparseinst.cli.options import parse_size
from sparseinst.cli.telling import print_table, say
from sparseinst.errors import InputError
from sparseinst.runtime.names import is_exported

if TYPE_CHECKING:
    from sparseinst.config.preprocess import PreprocessConfig
    from sparseinst.recipe import Preset

_ALWAYS = ("iterations", "epochs", "batch", "optim.lr")
"""Settings of the recipe that are shown even where they are the published ones."""


class _Subject(NamedTuple):
    """A network that was asked about.

    Attributes:
        preset: its settings.
        name: of the preset it comes from, as far as that is known.
        weights: its file of weights.
        facts: what a checkpoint tells besides settings and weights.
        has_recipe: whether the preset's recipe is that of these weights, or merely the default.
    """

    preset: "Preset"
    name: str | None
    weights: Path | None
    facts: Mapping[str, Any]
    has_recipe: bool = True


def info(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_PATH",
            help="A preset (see `sparseinst models`) or its YAML file, a .safetensors file, a published .pth, or "
            "hf:owner/name.",
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Count for an input of this size; without it, for the model's own frame."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON instead.")] = False,
) -> None:
    """Describe a network: what it costs, takes, finds, how it is trained, and where its weights come from."""
    size_hw = None if size is None else parse_size(size)
    if is_exported(model):
        raise InputError(
            f"{model}: expected a network or its weights, got an exported file: ask about the weights that it was "
            "exported from, or time it with `sparseinst benchmark`"
        )
    check_model(model)
    facts = describe(model, size_hw=size_hw)
    if json:
        typer.echo(jsonlib.dumps(facts, indent=2))
    else:
        _print(facts)


def describe(model: str, *, size_hw: tuple[int, int] | None = None) -> dict[str, Any]:
    """All that is known about a network, as plain JSON values.

    Args:
        model: a name or file, as `load_model` takes it; a preset needs no weights.
        size_hw: input to count operations for, padded to multiples of 32; None takes the model's own frame.

    Raises:
        InputError: there is no such model, or its file is damaged or of another network.
    """
    import torch

    from sparseinst.data.geometry import frame_hw
    from sparseinst.modeling.cost import cost
    from sparseinst.modeling.model import build_model
    from sparseinst.zoo.models import load_model
    from sparseinst.zoo.names import load_preset, preset_names

    found = _find(model)
    preset = found.preset
    if found.weights is not None and found.weights.suffix == ".safetensors":
        network = load_model(found.weights)  # its tensors must fit its settings
    else:
        with torch.device("meta"):  # no memory, no time for fresh weights
            network = build_model(preset.model).eval()
    frame, origin = _own_frame(preset.model.preprocess)
    if size_hw is not None:
        frame, origin = frame_hw(size_hw), f"{size_hw[0]} x {size_hw[1]}, as asked for, padded"
    counted = cost(network, frame)
    parts = {**counted.parts, "total": counted.total}
    published = load_preset(found.name).published if found.name in preset_names() else preset.published
    settings = preset.model.model_dump(mode="json")
    return {
        "model": model,
        "preset": found.name,
        "description": preset.description,
        "input": {"size_hw": list(frame), "origin": origin},
        "parameters": {name: part.parameters for name, part in parts.items()},
        "gflop": {name: part.flops / 1e9 for name, part in parts.items()},
        "shapes": {name: list(shape) for name, shape in counted.shapes.items()},
        "max_instances": preset.model.decoder.most_instances(frame),
        "room": preset.model.room,
        **{group: settings[group] for group in ("classes", "preprocess", "backbone", "encoder", "decoder")},
        "thresholds": settings["postprocess"],
        "recipe": preset.recipe.model_dump(mode="json") if found.has_recipe else None,
        "recipe_changes": _changes(preset) if found.has_recipe else None,
        "published": published.model_dump(mode="json", exclude_defaults=True),
        "weights": _weights(found.weights),
        "provenance": {name: value for name, value in found.facts.items() if name not in ("description", "recipe")},
    }


def _find(model: str) -> _Subject:
    from sparseinst.zoo.header import checkpoint_extra, read_config
    from sparseinst.zoo.models import preset_of, weights_file
    from sparseinst.zoo.names import load_preset, shipped_weights
    from sparseinst.zoo.recognise import recognise
    from sparseinst.zoo.tensors import read_tensors

    path = weights_file(model)
    if path is None:
        preset, shipped = load_preset(model), shipped_weights(model)
        name = None if model.endswith((".yaml", ".yml")) else model
        if shipped is None:
            return _Subject(preset, name, None, {})
        config = read_config(shipped)  # its thresholds were set after training
        return _Subject(preset.model_copy(update={"model": config}), name, shipped, checkpoint_extra(shipped))
    if path.suffix != ".safetensors":
        name, preset = recognise(read_tensors(path), source=path)
        return _Subject(preset, name, path, {})
    preset, facts = preset_of(path), checkpoint_extra(path)
    provenance = facts.get("provenance")
    origin = (provenance if isinstance(provenance, dict) else facts).get("preset")
    return _Subject(preset, origin if isinstance(origin, str) else None, path, facts, "recipe" in facts)


def _own_frame(preprocess: "PreprocessConfig") -> tuple[tuple[int, int], str]:
    from sparseinst.config.preprocess import NativeConfig
    from sparseinst.data.geometry import EXAMPLE_PX, frame_hw, frame_of

    if preprocess.frame_hw is not None:
        return preprocess.frame_hw, "its fixed frame"
    if isinstance(preprocess, NativeConfig):
        at = "its native size" if preprocess.scale == 1 else f"a scale of {preprocess.scale:g}"
        side = EXAMPLE_PX
        return frame_of((side, side), preprocess).frame_hw, f"an image of {side} x {side} at {at}"
    sides = preprocess.short_px, preprocess.long_px
    return frame_hw(sides), f"an image resized to {sides[0]} x {sides[1]}, the largest it takes, padded"


def _changes(preset: "Preset") -> dict[str, Any]:
    """Settings of the recipe that differ from the published ones, and those that everybody asks for."""
    everything = dict(_flat(preset.recipe.model_dump(mode="json")))
    changed = dict(_flat(preset.recipe.model_dump(mode="json", exclude_defaults=True)))
    if everything["epochs"] is not None:  # which then decides
        changed.pop("iterations", None)
        everything.pop("iterations")
    return {name: everything[name] for name in (*_ALWAYS, *changed) if everything.get(name) is not None}


def _weights(path: Path | None) -> dict[str, Any] | None:
    from sparseinst.files import file_hash

    return None if path is None else {"file": str(path), "bytes": path.stat().st_size, "sha256": file_hash(path)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested settings under their dotted names, as --set takes them."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _print(facts: Mapping[str, Any]) -> None:
    say(f"{facts['model']}: {facts['description']}", style="bold")
    rows = [
        (part, f"{count / 1e6:.2f}", f"{facts['gflop'][part]:.2f}", _outputs(part, facts["shapes"]))
        for part, count in facts["parameters"].items()
    ]
    print_table(("part", "parameters (M)", "GFLOP", "makes (channels x height x width)"), rows)
    height, width = facts["input"]["size_hw"]
    say(f"for one image of {height} x {width} ({facts['input']['origin']}); GFLOP: 10^9 multiplications and additions")
    print_table(("what", "value"), list(_lines(facts)))


def _outputs(part: str, shapes: Mapping[str, list[int]]) -> str:
    own = {"encoder": ("encoder",), "decoder": ("activation", "masks")}
    others = {name for names in own.values() for name in names}
    names = own.get(part, () if part == "total" else [name for name in shapes if name not in others])
    return "\n".join(f"{name}: {' x '.join(map(str, shapes[name]))}" for name in names)


def _lines(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    weights, published = facts["weights"], facts["published"].get("weights")
    if weights is None:
        yield (
            "weights",
            f"none here; published as {published}: see `sparseinst models`" if published else "none: train it",
        )
    else:
        digest = weights["sha256"]
        yield "weights", f"{weights['file']}\n{weights['bytes'] / 1e6:.1f} MB, SHA-256 {digest[:6]} ({digest})"
    if facts["published"]:
        yield f"published ({facts['preset']})", _assignments(facts["published"])
    yield f"classes ({len(facts['classes'])})", ", ".join(facts["classes"])
    yield "instances", f"at most {facts['max_instances']} in this frame: {facts['room']}"
    if facts["preprocess"]["kind"] == "native":
        diameter, um = facts["preprocess"]["diameter_px"], facts["preprocess"].get("pixel_um")
        size = "no size stated" if diameter is None else f"median diameter {diameter:.4g} px"
        micrometres = "micrometres not stated" if um is None else f"pixels of {um:.4g} micrometres"
        yield "objects trained on", f"{size}; {micrometres}"
    for name in ("preprocess", "thresholds", "backbone", "encoder", "decoder"):
        yield name, _assignments(facts[name])
    if facts["recipe"] is None:
        yield "recipe", "not recorded in the file"
    else:
        yield "recipe", _assignments(facts["recipe_changes"]) + "; otherwise as published"
    if facts["provenance"]:
        yield "provenance", "\n".join(f"{name}={_text(value)}" for name, value in _flat(facts["provenance"]))


def _assignments(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in _flat(values))


def _text(value: object) -> str:
    return value if isinstance(value, str) else jsonlib.dumps(value)
