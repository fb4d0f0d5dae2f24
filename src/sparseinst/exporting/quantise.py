"""Post-training quantisation of an OpenVINO model: 8-bit convolutions in backbone and encoder."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparseinst.config.preprocess import PreprocessConfig
from sparseinst.data.prepare import stack
from sparseinst.errors import InputError
from sparseinst.exporting.images import read_prepared
from sparseinst.runtime.tracing import missing_extra

if TYPE_CHECKING:
    import openvino as ov

_COORDINATES = 2
_CELL_AXES = 2
_ANY_PX = 96


def quantise(model: "ov.Model", images: Sequence[Path], preprocess: PreprocessConfig, *, image_type: str) -> "ov.Model":
    """Quantises with the statistics of real images, one at a time.

    The decoder and the scoring stay as they are, with all their operations: coordinates, places, weights over pixels,
    masks, which are small differences of large numbers, and scores do not survive 8 bits.

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
    """Names of the operations of decoder and scoring: all that depend on what the decoder reads.

    That is the features with coordinates before them, or, of a decoder of seeds, which chooses, what both of its
    branches read: the one for masks begins with the first convolution that the choice does not depend on.

    Raises:
        InputError: the model has no such place.
    """
    probe = model.clone()  # of fixed sizes, so that every shape is known
    sizes = [size.get_length() if size.is_static else _ANY_PX for size in model.input("images").get_partial_shape()]
    probe.reshape({"images": [1, *sizes[1:]], "resized_hw": [1, 2]})
    operations = probe.get_ordered_ops()
    choices = [op for op in operations if op.get_type_name() == "TopK" and _is_choice(op)]
    if choices:
        starts = _what_branches_read(operations, choices)
    else:
        starts = [op for op in operations if op.get_type_name() == "Concat" and _has_coordinates(op)]
    if len(starts) != 1:
        raise InputError(
            f"expected one place where the decoder begins, found {len(starts)}: this network cannot be quantised: "
            "leave int8 out"
        )
    return _reached(starts, _readers)


def _what_branches_read(operations: Sequence[Any], choices: Sequence[Any]) -> list[Any]:
    """What the first convolution reads that no choice depends on; on the encoder's convolutions all choices depend."""
    before = _reached(choices, lambda op: [value.get_source_output().get_node() for value in op.inputs()])
    beside = [op for op in operations if "Convolution" in op.get_type_name() and op.get_friendly_name() not in before]
    names = {op.get_friendly_name() for op in beside}
    entries = (op.input_value(0).get_node() for op in beside)
    first = next((entry for entry in entries if names <= _reached([entry], _readers)), None)
    return [] if first is None else [first]


def _reached(starts: Sequence[Any], following: Callable[[Any], Sequence[Any]]) -> set[str]:
    """Names of the operations that follow the given ones, directly or not."""
    names: set[str] = set()
    waiting = list(starts)
    while waiting:
        for op in following(waiting.pop()):
            if op.get_friendly_name() not in names:
                names.add(op.get_friendly_name())
                waiting.append(op)
    return names


def _readers(op: Any) -> list[Any]:
    return [target.get_node() for output in op.outputs() for target in output.get_target_inputs()]


def _is_choice(top: Any) -> bool:
    """Whether it takes the best of all cells of an image; the best class of each candidate may be a TopK, too."""
    return len(top.input(0).get_shape()) == _CELL_AXES


def _has_coordinates(concatenation: Any) -> bool:
    shape = tuple(concatenation.input(0).get_shape())
    return len(shape) == 4 and shape[1] == _COORDINATES
