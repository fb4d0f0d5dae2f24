"""Post-training quantisation of an OpenVINO model: 8-bit convolutions in backbone and encoder."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparseinst.config import PreprocessConfig
from sparseinst.data.preprocess import stack
from sparseinst.errors import InputError
from sparseinst.export.images import read_prepared
from sparseinst.inference.program import missing_extra

if TYPE_CHECKING:
    import openvino as ov

_COORDINATES = 2
_ANY_PX = 96


def quantise(model: "ov.Model", images: Sequence[Path], preprocess: PreprocessConfig, *, image_type: str) -> "ov.Model":
    """Quantises with the statistics of real images, one at a time.

    The decoder and the scoring stay as they are, with all their operations: coordinates, weights over pixels, masks,
    which are small differences of large numbers, and scores do not survive 8 bits.

    Args:
        model: with inputs images and resized_hw.
        images: files that look like those of later use; a few hundred are plenty.
        preprocess: how they are brought to the network.
        image_type: numpy type of the input images.

    Raises:
        InputError: nncf is not installed, or an image cannot be read.
    """
    try:
        import nncf
    except ImportError as error:
        raise missing_extra("nncf", "to quantise") from error
    logging.getLogger("nncf").setLevel(logging.ERROR)

    def inputs(path: Path) -> tuple[Any, Any]:
        pixels, resized_hw = stack([read_prepared(path, preprocess)])
        return pixels.numpy().astype(image_type), resized_hw.numpy()

    ignored = nncf.IgnoredScope(names=sorted(decoder_operations(model)))
    found: ov.Model = nncf.quantize(model, nncf.Dataset(images, inputs), subset_size=len(images), ignored_scope=ignored)
    return found


def decoder_operations(model: "ov.Model") -> set[str]:
    """Names of the operations of decoder and scoring: all that depend on features with coordinates before them.

    Raises:
        InputError: the model has no such features.
    """
    probe = model.clone()  # of fixed sizes, so that every shape is known
    sides = [size.get_length() if size.is_static else _ANY_PX for size in model.input("images").get_partial_shape()]
    probe.reshape({"images": [1, 3, *sides[2:]], "resized_hw": [1, 2]})
    starts = [op for op in probe.get_ops() if op.get_type_name() == "Concat" and _has_coordinates(op)]
    if len(starts) != 1:
        raise InputError(
            f"expected one place where coordinates join the features, found {len(starts)}: this network cannot be "
            "quantised: leave int8 out"
        )
    names: set[str] = set()
    waiting = starts
    while waiting:
        for output in waiting.pop().outputs():
            for target in output.get_target_inputs():
                node = target.get_node()
                if node.get_friendly_name() not in names:
                    names.add(node.get_friendly_name())
                    waiting.append(node)
    return names


def _has_coordinates(concatenation: Any) -> bool:
    shape = tuple(concatenation.input(0).get_shape())
    return len(shape) == 4 and shape[1] == _COORDINATES
