"""Reading and writing weights: our safetensors with all settings inside, and published pickles, safely."""

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sparseinst.config import ModelConfig
from sparseinst.errors import InputError
from sparseinst.files import atomic
from sparseinst.modeling import SparseInst
from sparseinst.zoo.upstream import is_published, our_name

FORMAT = "sparseinst-1"


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
    metadata, tensors = _read_safetensors(path)
    if metadata.get("format") != FORMAT or "config" not in metadata:
        raise InputError(
            f"{path}: expected a sparseinst checkpoint ({FORMAT}), found {metadata.get('format', 'no mark')!r} "
            "in its metadata: give a file written by `sparseinst train`"
        )
    try:
        return ModelConfig.model_validate_json(metadata["config"]), tensors
    except ValidationError as error:
        raise InputError(f"{path}: its settings do not fit this version of sparseinst: {error}") from error


def checkpoint_extra(path: Path) -> dict[str, object]:
    """The further facts that `save_checkpoint` stored in a file."""
    with safe_open(path, framework="pt") as file:
        facts: dict[str, object] = json.loads(file.metadata().get("extra", "{}"))
        return facts


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a .safetensors file or a pickled state dict, under the names they have there.

    Pickles are read by torch's restricted loader, which runs no code; a dict under `model` or `state_dict`
    is unwrapped.

    Raises:
        InputError: the file is missing, damaged, holds more than tensors, or no tensors.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a weights file, found none: check the path")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)[1]
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        # The error's own text is left out: it advises to load the file without this protection.
        raise InputError(
            f"{path}: expected a state dict of tensors that loads without running code; the file is damaged or holds "
            "other Python objects: fetch it again, or give a .safetensors or a .pth of plain tensors"
        ) from error
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = (
        {name: value for name, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, dict)
        else {}
    )
    if not tensors:
        raise InputError(f"{path}: expected a dict of tensors (or one under 'model'), found none: give a weights file")
    return tensors


def load_strictly(model: SparseInst, tensors: Mapping[str, Tensor], *, source: Path) -> None:
    """Copies tensors into the model; every name and shape must fit. Published names are translated first.

    Raises:
        InputError: names the tensors that are missing, unknown or of another shape.
    """
    if is_published(tensors):
        tensors = translate(tensors, levels=len(model.config.backbone.strides))
    expected = model.state_dict()
    counters = {name: tensor for name, tensor in expected.items() if name.endswith("num_batches_tracked")}
    tensors = {**counters, **tensors}  # published files have no counters, and nothing depends on them
    problems = [f"missing {name} {tuple(expected[name].shape)}" for name in expected if name not in tensors]
    problems += [f"unknown {name} {tuple(tensors[name].shape)}" for name in tensors if name not in expected]
    problems += [
        f"{name} is {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}"
        for name, tensor in tensors.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    if problems:
        shown = "; ".join(problems[:6]) + (f"; and {len(problems) - 6} more" if len(problems) > 6 else "")
        raise InputError(f"{source}: these weights are of another network: {shown}. Choose the preset they belong to")
    model.load_state_dict({name: tensor.to(expected[name].dtype) for name, tensor in tensors.items()})


def translate(tensors: Mapping[str, Tensor], *, levels: int) -> dict[str, Tensor]:
    """Published tensor names to ours; what holds no weight is left out."""
    named = {our_name(name, levels=levels): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in named.items() if name is not None}


def backbone_tensors(model: SparseInst, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a whole classifier to those of our backbone: by name, or by order where only the names differ."""
    own = {name: f"backbone.features.{name}" for name in model.backbone.features.state_dict()}  # type: ignore[union-attr]
    by_name = {own[name]: tensor for name, tensor in tensors.items() if name in own}
    if by_name:
        return by_name
    import timm

    with torch.device("meta"):
        classifier: nn.Module = timm.create_model(model.config.backbone.name)
    wanted = classifier.state_dict()
    if [tuple(t.shape) for t in wanted.values()] != [tuple(t.shape) for t in tensors.values()]:
        return {}
    return {own[name]: tensor for name, tensor in zip(wanted, tensors.values(), strict=True) if name in own}


def _read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not path.is_file():
        raise InputError(f"{path}: expected a .safetensors file, found none: check the path")
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{path}: not a readable safetensors file ({error}): fetch or write it again") from error
