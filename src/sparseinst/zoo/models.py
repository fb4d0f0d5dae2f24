"""From a name or a file to a network with its weights."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from sparseinst.config.model import ModelConfig
from sparseinst.errors import InputError
from sparseinst.modeling.cost import check_memory
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.recipe import Preset
from sparseinst.zoo.checkpoint import (
    backbone_tensors,
    fitted,
    load_strictly,
    read_checkpoint,
    translate,
)
from sparseinst.zoo.download import HUB, fetch
from sparseinst.zoo.header import agreed, known_config, preset_in
from sparseinst.zoo.names import PICKLED, load_preset, shipped_weights, without_weights
from sparseinst.zoo.recognise import recognise
from sparseinst.zoo.tensors import read_tensors
from sparseinst.zoo.upstream import is_published
from sparseinst.zoo.widening import widened

_LOGGER = logging.getLogger(__name__)

LEAST_SHARE = 0.5
"""Of the backbone's tensors, or of the rest, that a file must have to start from it."""


class Weights(NamedTuple):
    """The tensors of a file that has been read."""

    path: Path
    tensors: Mapping[str, Tensor]


def load_model(
    name_or_path: str | Path,
    *,
    weights: str | Path | None = None,
    random_weights: bool = False,
    device: str | torch.device = "cpu",
) -> SparseInst:
    """A network in eval mode.

    Args:
        name_or_path: a preset ("nuclei", "r50-giam"), a preset's YAML file, a checkpoint written by this package, a
            published checkpoint (.pth, whose network is recognised by its tensors), or "hf:owner/name" on the Hub.
        weights: for a preset, its weights: our .safetensors, or a published .pth ({"model": {names: tensors}}).
        random_weights: for a preset, take fresh weights (tests and benchmarks).
        device: where to put it.

    Returns:
        The module; `model(images)` takes (B, channels, H, W) float in 0..255 and gives `Predictions`.

    Raises:
        InputError: no such model, no weights for it, or weights of another network.
    """
    path = weights_file(name_or_path)
    if path is None:
        model = _from_preset(str(name_or_path), weights, random_weights)
    elif weights is not None or random_weights:
        raise InputError(f"{path} brings its own weights: leave weights and random weights out")
    else:
        model = _from_file(path)
    return model.to(device).eval()


def weights_file(name_or_path: str | Path) -> Path | None:
    """The file of weights that a model's name stands for (fetched from the Hub if need be); None for a preset."""
    if str(name_or_path).startswith(HUB):
        return fetch(str(name_or_path))
    path = Path(name_or_path)
    return path if path.suffix in (".safetensors", *PICKLED) else None


def preset_of(model: str | Path | Weights) -> Preset:
    """The settings of any model that `load_model` knows: of a preset, or those that a file of weights brings.

    Args:
        model: its name or file, or the tensors of a published file that has been read.

    Raises:
        InputError: no such model, or nothing says which network a file is of.
    """
    if isinstance(model, Weights):
        return recognise(model.tensors, source=model.path).preset
    path = weights_file(model)
    if path is None:
        return load_preset(model)
    if path.suffix != ".safetensors":
        return recognise(read_tensors(path), source=path).preset
    return preset_in(path)


def init_weights(model: SparseInst, source: str | Path | Weights) -> str:
    """Starts a network from a file: keeps every tensor whose name and shape fit.

    Args:
        model: changed in place.
        source: our .safetensors, a published .pth, weights of the backbone alone (timm's, torchvision's, detectron2's
            .pkl), "hf:owner/name", the name of a preset or of a backbone whose weights ship; or what has been read.

    Returns:
        One line that says how much was loaded and what was not.

    Raises:
        InputError: the file cannot be read or nothing in it fits.
    """
    if isinstance(source, Weights):
        path, tensors = source
    else:
        path = shipped_weights(str(source)) or weights_file(source) or Path(source)
        tensors = read_tensors(path)
    if is_published(tensors):
        tensors = translate(tensors, levels=len(model.config.backbone.strides))
    elif not any(name.startswith("backbone.") for name in tensors):
        tensors = backbone_tensors(model, tensors)
    own = model.state_dict()
    tensors, wide = widened(tensors, {name: tensor.shape for name, tensor in own.items()})
    fitting = {n: t.to(own[n].dtype) for n, t in tensors.items() if n in own and t.shape == own[n].shape}
    backbone = sum(name.startswith("backbone.") for name in own)
    found = sum(name.startswith("backbone.") for name in fitting)
    if max(found / backbone, (len(fitting) - found) / (len(own) - backbone)) < LEAST_SHARE:
        raise InputError(
            f"{path}: only {len(fitting)} of {len(own)} tensors fit backbone {model.config.backbone.name!r} and this "
            "network: give a checkpoint of this network or weights of its backbone"
        )
    model.load_state_dict(fitting, strict=False)
    fresh = [name for name in own if name not in fitting and not name.endswith("num_batches_tracked")]
    parts = sorted({".".join(name.split(".")[:2]) for name in fresh})
    told = f"; first convolution widened from 3 to {model.config.preprocess.channels} channels" if wide else ""
    return f"{path}: {len(fitting)} of {len(own)} tensors loaded; fresh: {', '.join(parts) or 'none'}{told}"


def _from_file(path: Path) -> SparseInst:
    if path.suffix == ".safetensors":
        config, tensors = read_checkpoint(path)
    else:
        tensors = read_tensors(path)
        name, preset = recognise(tensors, source=path)
        config = preset.model
        _LOGGER.info("%s: recognised as %s with %d classes", path, name, len(config.classes))
    return _built(config, tensors, path)


def _built(config: ModelConfig, tensors: Mapping[str, Tensor], path: Path) -> SparseInst:
    """The network of these settings with these tensors; settings that ask for more than there is build nothing."""
    with torch.device("meta"):
        planned = build_model(config)
    fitted(planned, tensors, source=path)
    check_memory(planned, source=path)
    model = build_model(config)
    load_strictly(model, tensors, source=path)
    return model


def _from_preset(name: str, weights: str | Path | None, random_weights: bool) -> SparseInst:
    preset = load_preset(name)
    if random_weights and weights is not None:
        raise InputError(f"model {name!r}: expected weights or random weights, got both: leave one out")
    if random_weights:
        return build_model(preset.model)
    if weights is None:
        shipped = shipped_weights(name)
        if shipped is None:
            raise InputError(without_weights(name, preset))
        return _from_file(shipped)
    path = weights_file(weights)
    if path is None:
        raise InputError(f"weights {weights}: expected a .safetensors, .pth or .pkl file or hf:owner/name")
    if path.suffix != ".safetensors":
        return _built(preset.model, read_tensors(path), path)
    config, tensors = read_checkpoint(path)
    return _built(agreed(name, preset.model, config, path), tensors, path)


def settings_of(name_or_path: str | Path, weights: str | Path | None) -> ModelConfig:
    """The settings that the network has which `load_model` gives for the same.

    Raises:
        InputError: no such model, or weights of another network.
    """
    known = known_config(name_or_path, None if weights is None else weights_file(weights))
    return preset_of(name_or_path).model if known is None else known
