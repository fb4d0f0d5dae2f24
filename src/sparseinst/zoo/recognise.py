"""Which network a published checkpoint is of: it does not say so itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import SlotsConfig
from sparseinst.errors import InputError, listed
from sparseinst.modeling.model import build_model
from sparseinst.recipe import Preset
from sparseinst.zoo.checkpoint import SHOWN, misfits, translate
from sparseinst.zoo.names import load_preset, preset_names
from sparseinst.zoo.upstream import is_published

_ROWS = {"classes": "decoder.classifier.weight", "maps": "decoder.activation.conv.weight"}


class Recognised(NamedTuple):
    """A checkpoint's network.

    Attributes:
        name: of the preset.
        preset: that preset, with as many classes and slots as the checkpoint has.
    """

    name: str
    preset: Preset


def recognise(tensors: Mapping[str, Tensor], *, source: Path, among: str | None = None) -> Recognised:
    """The preset whose network has just these tensors, whatever its number of classes and slots.

    Args:
        tensors: of a published checkpoint, under their published names.
        source: the file, for errors.
        among: the only preset to try; None tries all.

    Raises:
        InputError: they are not of a published SparseInst, or no preset fits (it says what does not fit the nearest).
    """
    if not is_published(tensors):
        raise InputError(
            f"{source}: expected a published SparseInst checkpoint, got other tensors ({', '.join(list(tensors)[:3])}, "
            "...): name a network, and start its training from this file with --init"
        )
    translated = translate(tensors, levels=3)
    nearest: tuple[list[str], str] | None = None
    for name in _published_names() if among is None else [among]:
        preset = _fitted(load_preset(name), translated)
        with torch.device("meta"):
            expected = build_model(preset.model).state_dict()
        problems = misfits(expected, translated)
        if not problems:
            return Recognised(name, preset)
        if nearest is None or len(problems) < len(nearest[0]):
            nearest = problems, name
    assert nearest is not None
    problems, name = nearest
    shown = listed(problems, most=SHOWN, between="; ")
    raise InputError(
        f"{source}: no published network fits; nearest is {name!r}, but: {shown}. Write a "
        "preset of your own (a YAML file) and name that as the model"
        if among is None else
        f"{source}: these weights are not of {name!r}: {shown}. Leave the name out to find "
        "the preset that fits"
    )  # fmt: skip


def _published_names() -> list[str]:
    return [name for name in preset_names() if "published" in load_preset(name).model_fields_set]


def _fitted(preset: Preset, tensors: Mapping[str, Tensor]) -> Preset:
    """The preset with the number of classes and slots that the tensors have."""
    rows = {what: len(tensors[name]) if name in tensors else 0 for what, name in _ROWS.items()}
    model = preset.model
    decoder = model.decoder
    if isinstance(decoder, SlotsConfig):  # as those of all published networks
        slots = rows["maps"] // decoder.groups
        if slots and slots != decoder.slots:
            decoder = decoder.model_copy(update={"slots": slots})
    classes = model.classes
    if rows["classes"] and rows["classes"] != len(classes):
        classes = tuple(f"class {i + 1}" for i in range(rows["classes"]))
    return preset.model_copy(update={"model": model.model_copy(update={"decoder": decoder, "classes": classes})})


def with_class_names(config: ModelConfig, names: tuple[str, ...], *, source: Path) -> ModelConfig:
    """The settings with other class names.

    Raises:
        InputError: there are not as many as the network has classes, or some are equal.
    """
    if len(names) != len(config.classes) or len(set(names)) != len(names):
        raise InputError(
            f"{source}: expected {len(config.classes)} different class names, in the order of the logits, got "
            f"{len(names)}: {', '.join(names)}"
        )
    return config.model_copy(update={"classes": names})
