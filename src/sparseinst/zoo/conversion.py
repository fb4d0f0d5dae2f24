"""From a published checkpoint to one of ours, with a note of where it came from."""

import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sparseinst.files import file_hash
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.zoo.checkpoint import load_strictly, save_checkpoint
from sparseinst.zoo.names import converted_file
from sparseinst.zoo.recognise import recognise, with_class_names
from sparseinst.zoo.tensors import read_tensors

_LOGGER = logging.getLogger(__name__)
_MARK = re.compile(r"[_-]([0-9a-f]{6})$")


class Conversion(NamedTuple):
    """What became of a published checkpoint.

    Attributes:
        out: the file written.
        name: preset of its network.
        model: the network, in eval mode.
        tensors: tensors taken over.
    """

    out: Path
    name: str
    model: SparseInst
    tensors: int


def convert(
    path: str | Path,
    *,
    model: str | None = None,
    out: str | Path | None = None,
    classes: Sequence[str] | None = None,
    half: bool = False,
) -> Conversion:
    """Writes a published checkpoint as one of ours.

    Args:
        path: a published .pth ({"model": {names: tensors}}); read without running any code in it.
        model: the preset it is of; None finds out.
        out: file to write; None takes the input's name with .safetensors.
        classes: class names in the order of the logits, for networks trained on other data than COCO.
        half: store parameters as float16.

    Raises:
        InputError: the file cannot be read, or is of another network (the message says what does not fit).
    """
    path = Path(path)
    target = converted_file(path, out)
    tensors = read_tensors(path)
    digest = file_hash(path)
    mark = _MARK.search(path.stem)
    if mark and mark[1] != digest[:6]:
        _LOGGER.warning(
            "%s: its name ends in %s, but its SHA-256 begins with %s: the file may be incomplete or changed, or its "
            "name may mean something else",
            path, mark[1], digest[:6],
        )  # fmt: skip
    name, preset = recognise(tensors, source=path, among=model)
    config = preset.model
    if classes is not None:
        config = with_class_names(config, tuple(classes), source=path)
    network = build_model(config).eval()
    load_strictly(network, tensors, source=path)
    provenance = {
        "file": path.name, "sha256": digest, "form": "published SparseInst checkpoint", "preset": name,
        "converted": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    facts = {
        "description": preset.description,
        "recipe": preset.recipe.model_dump(mode="json"),
        "provenance": provenance,
    }
    save_checkpoint(target, network, extra=facts, half=half)
    return Conversion(target, name, network, len(tensors))
