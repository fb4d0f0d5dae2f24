"""From a preset and what the user changes to the settings of a run."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from sparseinst.config.base import Settings, kinds_of
from sparseinst.config.model import ModelConfig
from sparseinst.config.network import SeedsConfig
from sparseinst.config.preprocess import NativeConfig
from sparseinst.data.geometry import MULTIPLE_PX
from sparseinst.errors import InputError, brief, misfit
from sparseinst.files import atomic
from sparseinst.parsing import parse_yaml
from sparseinst.recipe import Preset, Published, Recipe

_ROOTS: Mapping[str, type[Settings]] = {"model": ModelConfig, "recipe": Recipe}
FREE = ("workers", "log_every", "evaluate_every", "pictures", "max_dets", "patience")
"""Parts of the recipe that do not change what is computed, so that a resumed run may change them."""
_KIND = "kind"
_ITERATIONS, _EPOCHS = ("recipe", "iterations"), ("recipe", "epochs")


def setting_names() -> dict[str, tuple[str, ...]]:
    """Every setting that `--set` knows ("optim.lr", "decoder.slots") and where it stands in a preset.

    Of groups that come in several kinds (`preprocess`), the settings of every kind; a preset has those of its own.

    Example:
        >>> setting_names()["optim.lr"]
        ('recipe', 'optim', 'lr')
    """
    return {".".join(path[1:]): path for root, kind in _ROOTS.items() for path in _leaves(kind, (root,))}


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """Splits "key=value" as given on the command line.

    Example:
        >>> parse_assignments(["optim.lr=1e-4"])
        {'optim.lr': '1e-4'}

    Raises:
        InputError: there is no = in one of them.
    """
    parsed = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {assignment!r}: expected key=value, as in --set optim.lr=1e-4")
        parsed[key.strip()] = value.strip()
    return parsed


def apply_settings(preset: Preset, settings: Mapping[str, object]) -> Preset:
    """A preset with some of its settings replaced.

    Args:
        preset: where to start. A number of iterations replaces its epochs, which would otherwise decide.
        settings: value by dotted name ("optim.lr", or in full "recipe.optim.lr"); text is read as YAML, so that
            "[416, 448]", "true" and "null" mean what they look like.

    Returns:
        The validated preset. What the authors published about the original is left out, for it is not true of this one.

    Raises:
        InputError: an unknown name (the nearest known ones are given), one that networks of this kind lack, or a value
            that does not fit.
    """
    values: dict[str, Any] = preset.model_dump()
    values["published"] = Published()
    places = {_locate(name) for name in settings}
    if _ITERATIONS in places and _EPOCHS not in places:
        values["recipe"]["epochs"] = None
    for name, value in settings.items():
        *groups, leaf = _locate(name)
        place = values
        for group in groups:
            place = place.get(group, {})
        if leaf not in place:
            raise InputError(_lacking(name, groups, place))
        place[leaf] = _read(name, value)
    return validated(values)


def is_set(name: str, settings: Mapping[str, object]) -> bool:
    """Whether the user gave a setting of the recipe, by its short name or in full."""
    return name in settings or f"recipe.{name}" in settings


def scale_sizes(preset: Preset, size_px: int) -> Preset:
    """The preset at another image size.

    Where images are resized by their short side, that becomes `size_px`: every size in pixels follows, frames in
    multiples of 32. Networks at native scale see images as large as they are: theirs is the side of the square that
    training crops from them.

    Raises:
        InputError: the size is not positive or too small for the preset.
    """
    if size_px <= 0:
        raise InputError(f"size: expected a short side in pixels above 0, got {size_px}")
    if isinstance(preset.model.preprocess, NativeConfig):
        side = _next_multiple(size_px)
        return preset if preset.recipe.augment.frame_hw == (side, side) else with_frame(preset, (side, side))
    factor = size_px / preset.model.preprocess.short_px
    if factor == 1:
        return preset
    values = preset.model_dump()
    preprocess, augment = values["model"]["preprocess"], values["recipe"]["augment"]
    for group, names in ((preprocess, ("short_px", "long_px")), (augment, ("long_px",))):
        group.update({name: _scaled(group[name], factor) for name in names})
    for name in ("short_px", "crop_short_px", "crop_px"):
        augment[name] = tuple(_scaled(size, factor) for size in augment[name])
    for group in (preprocess, augment):
        if group["frame_hw"] is not None:
            group["frame_hw"] = tuple(_next_multiple(_scaled(side, factor)) for side in group["frame_hw"])
    return validated(values)


def is_free_of_frames(config: ModelConfig) -> bool:
    """Whether a network may be trained in one frame and predict in another: slots learn their places in it."""
    return isinstance(config.decoder, SeedsConfig) or isinstance(config.preprocess, NativeConfig)


def with_frame(preset: Preset, frame_hw: tuple[int, int]) -> Preset:
    """The preset with one fixed frame for training and prediction, which images are resized to fit into.

    For seeds, and at native scale, it is the frame of training alone; prediction keeps its own.
    """
    values = preset.model_dump()
    values["recipe"]["augment"]["frame_hw"] = frame_hw
    if is_free_of_frames(preset.model):
        return validated(values)
    sizes = {"short_px": min(frame_hw), "long_px": max(frame_hw), "frame_hw": frame_hw}
    if preset.model.preprocess.frame_hw != frame_hw:
        values["model"]["preprocess"].update(sizes)
    values["recipe"]["augment"].update(short_px=(min(frame_hw),), long_px=max(frame_hw))
    return validated(values)


def with_classes(preset: Preset, classes: Iterable[str]) -> Preset:
    """The preset for other classes."""
    values = preset.model_dump()
    values["model"]["classes"] = tuple(classes)
    return validated(values)


def validated(values: Mapping[str, object]) -> Preset:
    """A preset from plain values.

    Raises:
        InputError: names each setting that does not fit, what is wrong and what came.
    """
    try:
        return Preset.model_validate(values)
    except ValidationError as error:
        raise InputError(misfit(error, each="setting ")) from error


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name.

    Example:
        >>> flat({"optim": {"lr": 0.1}, "batch": 2})
        {'optim.lr': 0.1, 'batch': 2}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        found.update(flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return found


def write_config(path: Path, preset: Preset, *, notes: Mapping[str, object]) -> None:
    """Writes the settings of a run as a preset file, with notes (data, start) as comments at its top."""
    lines = [f"# {name}: {value}" for name, value in notes.items()]
    body = yaml.safe_dump(preset.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
    with atomic(path) as temporary:
        temporary.write_text("\n".join([*lines, body]), encoding="utf-8")


def _leaves(kind: type[BaseModel], path: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    for name, field in kind.model_fields.items():
        if kinds := kinds_of(field.annotation):
            yield from dict.fromkeys(leaf for group in kinds for leaf in _leaves(group, (*path, name)))
        elif name != _KIND:
            yield (*path, name)


def _locate(name: str) -> tuple[str, ...]:
    known = setting_names()
    root, _, rest = name.partition(".")
    short = rest if root in _ROOTS else name
    if short in known and (root not in _ROOTS or known[short][0] == root):
        return known[short]
    within = [key for key in known if key.startswith(f"{short}.")]
    if within:
        raise InputError(f"setting {name!r} is a group: set one of {', '.join(within)}")
    group, _, leaf = short.rpartition(".")
    if leaf == _KIND and any(key.startswith(f"{group}.") for key in known):
        raise InputError(f"setting {name!r} comes with the network: choose another one as --model")
    # The last part alone is what people remember: "slots" for "decoder.slots".
    near = [key for key in known if key.rpartition(".")[2] == leaf]
    near += [key for key in get_close_matches(short, known, n=3, cutoff=0.5) if key not in near]
    groups = dict.fromkeys(key.partition(".")[0] for key in known)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known settings begin with {', '.join(groups)}"
    raise InputError(f"setting {brief(name, most=200)} is unknown: {hint}")


def _lacking(name: str, groups: list[str], place: Mapping[str, Any]) -> str:
    group = groups[-1]
    own = ", ".join(f"{group}.{key}" for key in place if key != _KIND)
    return f"setting {name!r}: expected one of a network whose {group} is of kind {place.get(_KIND)!r}: {own}"


def _read(name: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    return parse_yaml(value, source=f"setting {brief(name, most=200)}", hint="write lists as [416, 448]")


def _scaled(size_px: int, factor: float) -> int:
    return max(1, int(size_px * factor + 0.5))


def _next_multiple(side: int) -> int:
    return -(-side // MULTIPLE_PX) * MULTIPLE_PX
