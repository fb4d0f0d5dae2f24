"""Makes an ONNX model compute in 16 bits where that is safe."""

from typing import Any

from sparseinst.inference.program import missing_extra

_FLOAT = ("MatMul", "Gemm", "ReduceSum", "ReduceMax", "Softmax", "Div", "Sqrt", "Clip", "Range", "Where", "DeformConv")
"""Kept in 32 bits: the weights over pixels are too small for 16 (1e-4 and less), sums over pixels too large."""


def to_half(model: Any) -> Any:
    """The model with 16-bit weights and convolutions; inputs, outputs, gathering, masks and scores stay 32-bit.

    Raises:
        InputError: onnxruntime, whose converter this is, is not installed.
    """
    try:
        from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    except ImportError as error:
        raise missing_extra("onnxruntime", "to convert to 16 bits") from error
    return convert_float_to_float16(model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *_FLOAT])
