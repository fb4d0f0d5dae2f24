"""Post-training quantisation of what a network of seeds computes of every cell, for ONNX Runtime.

8 bits are all convolutions but the first, which reads the image, and the last ones, whose outputs choose seeds and grow
masks. A processor with VNNI does them four times as fast.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparseinst.config.preprocess import PreprocessConfig
from sparseinst.data.prepare import stack
from sparseinst.exporting.images import read_prepared
from sparseinst.runtime.exported import INPUTS
from sparseinst.runtime.tracing import missing_extra

if TYPE_CHECKING:
    import onnx

_ACTIVATIONS = ("Clip", "Relu")


def quantise_seeds(model: "onnx.ModelProto", images: Sequence[Path], preprocess: PreprocessConfig) -> "onnx.ModelProto":
    """Quantises with the largest and smallest values that real images give, one image at a time.

    Args:
        model: the converted `CellsOfSeeds`.
        images: files that look like those of later use; a few dozen are plenty.
        preprocess: how they are brought to the network.

    Raises:
        InputError: onnxruntime is not installed, or an image cannot be read.
    """
    try:
        import onnx
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.quant_utils import add_pre_process_metadata
    except ImportError as error:
        raise missing_extra("onnx and onnxruntime", "to quantise") from error

    class Images(CalibrationDataReader):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            self._paths = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            path = next(self._paths, None)
            if path is None:
                return None
            batch = stack([read_prepared(path, preprocess)])
            return dict(zip(INPUTS, (part.numpy() for part in batch), strict=True))

    metadata = {item.key: item.value for item in model.metadata_props}
    add_pre_process_metadata(model)  # which is folded already, and otherwise advised
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantised.onnx"
        quantize_static(
            model, path, Images(), quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv", *_ACTIVATIONS],
            nodes_to_quantize=eight_bit_nodes(model), per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        quantised = onnx.load(path)
    del quantised.metadata_props[:]
    onnx.helper.set_model_props(quantised, metadata)
    return quantised


def eight_bit_nodes(model: "onnx.ModelProto") -> list[str]:
    """Names of the convolutions that become 8-bit, and of the activations after them, which then cost nothing."""
    outputs = {value.name for value in model.graph.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    chosen = [node for node in convolutions[1:] if node.output[0] not in outputs]
    made = {node.output[0] for node in chosen}
    activations = [node for node in model.graph.node if node.op_type in _ACTIVATIONS and node.input[0] in made]
    return [node.name for node in (*chosen, *activations)]
