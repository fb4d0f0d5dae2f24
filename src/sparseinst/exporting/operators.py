"""The ONNX operators that TensorRT can run."""

from typing import Any

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import SeedsConfig
from sparseinst.errors import InputError

_NAMES = """
    Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv
    ConvTranspose Cos CumSum DeformConv DepthToSpace DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp
    Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater
    GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization
    LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean Min Mod Mul Neg Not Or
    PRelu Pad Pow QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare Relu Reshape Resize Round ScatterElements ScatterND Selu Shape Sigmoid Sign Sin
    Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Trilu
    Unsqueeze Where Xor
"""
TENSORRT_OPERATORS = frozenset(_NAMES.split())
"""Those of TensorRT 10.1 and newer that networks use, as its ONNX parser documents them."""


MOST_CHOSEN = 3840
"""Largest number that TensorRT's TopK takes."""


def check_candidates(config: ModelConfig) -> None:
    """Raises `InputError` when a network of seeds takes more of them than TensorRT can choose."""
    most = config.most_instances
    if isinstance(config.decoder, SeedsConfig) and most is not None and most > MOST_CHOSEN:
        raise InputError(
            f"TensorRT chooses up to {MOST_CHOSEN} instances in an image, got {most}: give fewer as max_instances"
        )


def check_operators(model: Any) -> None:
    """Raises `InputError` when TensorRT lacks an operator of the ONNX model."""
    missing = sorted({node.op_type for node in model.graph.node} - TENSORRT_OPERATORS)
    if missing:
        raise InputError(
            f"TensorRT has no operator {', '.join(missing)}, which this backbone needs: export it as onnx or openvino"
        )
