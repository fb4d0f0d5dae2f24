"""Our checkpoints, safetensors with all settings inside, and what fits a network of any other weights."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sparseinst.config.model import ModelConfig
from sparseinst.config.preprocess import PreprocessConfig
from sparseinst.errors import InputError, listed
from sparseinst.files import atomic
from sparseinst.modeling.model import SparseInst
from sparseinst.zoo.header import FORMAT, config_in
from sparseinst.zoo.tensors import read_safetensors
from sparseinst.zoo.upstream import backbone_name, is_detectron2_resnet, is_published, our_name

SHOWN = 12
"""Misfits that an error names."""


def save_checkpoint(
    path: Path | str, model: SparseInst, *, extra: Mapping[str, object] | None = None, half: bool = False
) -> None:
    """Writes weights and settings to one safetensors file, first under a temporary name.

    Args:
        path: file to write, ending in .safetensors.
        model: its parameters, buffers and `config` are saved.
        extra: further JSON-able facts for the metadata (training figures, provenance).
        half: store parameters as float16 (buffers, such as batch norm statistics, stay float32).
    """
    path = Path(path)
    parameters = {name for name, _ in model.named_parameters()}
    tensors = {
        name: (tensor.half() if half and name in parameters else tensor).detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    metadata = {"format": FORMAT, "config": model.config.model_dump_json(), "extra": json.dumps(dict(extra or {}))}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # safetensors keeps its files from everyone else


def read_checkpoint(path: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Settings and tensors of a file written by `save_checkpoint`.

    Raises:
        InputError: the file is not such a checkpoint or is damaged.
    """
    metadata, tensors = read_safetensors(path)
    return config_in(metadata, path), tensors


def load_strictly(model: SparseInst, tensors: Mapping[str, Tensor], *, source: Path) -> None:
    """Copies tensors into the model; every name and shape must fit. Published names are translated first.

    Raises:
        InputError: names the tensors that are missing, unknown or of another shape.
    """
    tensors = fitted(model, tensors, source=source)
    expected = model.state_dict()
    check_finite(tensors, source=source)
    kept = {name: tensor.to(expected[name].dtype) for name, tensor in tensors.items() if name in expected}
    model.load_state_dict(kept, strict=False)  # all fit: see above


def fitted(model: SparseInst, tensors: Mapping[str, Tensor], *, source: Path) -> Mapping[str, Tensor]:
    """The tensors under our names, of which every name and shape fits the network (which may be on "meta").

    Raises:
        InputError: names the tensors that are missing, unknown or of another shape.
    """
    if is_published(tensors):
        check_pixels(model.config.preprocess, tensors, source=source)
        tensors = translate(tensors, levels=len(model.config.backbone.strides))
    if found := misfits(model.state_dict(), tensors):
        shown = listed(found, most=SHOWN, between="; ")
        raise InputError(f"{source}: these weights are of another network: {shown}. Choose the preset they belong to")
    return tensors


def check_finite(tensors: Mapping[str, Tensor], *, source: Path) -> None:
    """Checks that all weights are numbers, without which every score is none and nothing is found.

    Raises:
        InputError: names those that are not.
    """
    wrong = [
        name for name, tensor in tensors.items() if tensor.is_floating_point() and not bool(tensor.isfinite().all())
    ]
    if wrong:
        raise InputError(
            f"{source}: expected weights that are finite numbers, got others in {listed(wrong)}: take a checkpoint "
            "from before its training went astray"
        )


def misfits(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[str]:
    """What is missing, unknown or of another shape; counters of batches may be absent, for nothing uses them."""
    problems = [
        f"missing {name} {tuple(expected[name].shape)}"
        for name in expected
        if name not in tensors and not _is_counter(name)
    ]
    problems += [
        f"unknown {name} {tuple(tensors[name].shape)}"
        for name in tensors
        if name not in expected and not _is_counter(name)
    ]
    return problems + [
        f"{name} is {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}"
        for name, tensor in tensors.items()
        if name in expected and tensor.shape != expected[name].shape
    ]


def translate(tensors: Mapping[str, Tensor], *, levels: int) -> dict[str, Tensor]:
    """Published tensor names to ours; what holds no weight is left out."""
    named = [(our_name(name, levels=levels), tensor) for name, tensor in tensors.items()]
    translated = {name: tensor for name, tensor in named if name is not None}
    assert len(translated) == sum(name is not None for name, _ in named), "two published names became one"
    return translated


def check_pixels(preprocess: PreprocessConfig, tensors: Mapping[str, Tensor], *, source: Path) -> None:
    """Checks that a published checkpoint was trained with the mean and deviation that its images will get.

    Raises:
        InputError: with other ones, or with channels in another order.
    """
    for name, expected in (("pixel_mean", preprocess.mean), ("pixel_std", preprocess.std)):
        found = tensors.get(name)
        if found is not None and not _are(found.flatten(), expected):
            raise InputError(
                f"{source}: its {name} is {found.flatten().tolist()}, expected {list(expected)} (RGB, 0..255): it was "
                "trained on images prepared in another way: set preprocess.mean and preprocess.std in a preset of your "
                "own (a YAML file) and name that as the model"
            )


def _are(found: Tensor, expected: tuple[float, ...]) -> bool:
    return len(found) == len(expected) and torch.allclose(found.float(), torch.tensor(expected), atol=0.01)


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def backbone_tensors(model: SparseInst, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a whole classifier to those of our backbone: by name, or by order where only the names differ."""
    if is_detectron2_resnet(tensors):
        named = {backbone_name(name): tensor for name, tensor in tensors.items()}
        return {name: tensor for name, tensor in named.items() if name is not None}
    own = {name: f"backbone.features.{name}" for name in model.backbone.features.state_dict()}  # type: ignore[union-attr]
    # timm joins the first two parts of a name where it takes features from inside a container
    joined = {name: name if name in own else name.replace(".", "_", 1) for name in tensors}
    by_name = {own[joined[name]]: tensor for name, tensor in tensors.items() if joined[name] in own}
    if by_name:
        return by_name
    import timm

    with torch.device("meta"):
        classifier: nn.Module = timm.create_model(model.config.backbone.name)
    wanted = classifier.state_dict()
    if [tuple(t.shape) for t in wanted.values()] != [tuple(t.shape) for t in tensors.values()]:
        return {}
    return {own[name]: tensor for name, tensor in zip(wanted, tensors.values(), strict=True) if name in own}
