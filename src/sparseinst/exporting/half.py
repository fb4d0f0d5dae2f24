"""Makes an ONNX model compute in 16 bits where that is safe."""

from collections import Counter
from typing import Any

import numpy as np

from sparseinst.runtime.tracing import missing_extra

_FLOAT = ("MatMul", "Gemm", "ReduceSum", "ReduceMax", "Softmax", "Div", "Sqrt", "Clip", "Range", "Where", "DeformConv")
"""Kept in 32 bits: the weights over pixels are too small for 16 (1e-4 and less), sums over pixels too large."""
_LINEAR = ("Conv", "DeformConv", "Gemm")
"""What seeds are made of comes from these."""
_WEIGHTED = ("DeformConv", "MatMul", "Gemm")
"""Of `_FLOAT` those whose second input may be weights."""
_FEW = 256
"""Weights that are not worth a cast."""


def to_half(model: Any) -> Any:
    """The model with 16-bit weights and convolutions; inputs, outputs, gathering, masks and scores stay 32-bit.

    So does all that chooses seeds and grows them: in 16 bits neighbouring cells are equal, and the terms of an
    ellipse, with places of hundreds of cells in them, no longer cancel.

    Raises:
        InputError: onnxruntime, whose converter this is, is not installed.
    """
    try:
        from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    except ImportError as error:
        raise missing_extra("onnxruntime", "to convert to 16 bits") from error
    kept = after_convolutions(model.graph)
    half = convert_float_to_float16(
        model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *_FLOAT], node_block_list=sorted(kept)
    )
    _store_half(half.graph, kept)
    return half


def _store_half(graph: Any, kept: set[str]) -> None:
    """Stores in 16 bits the weights of what computes in 32, with a cast behind them that runtimes do once.

    Those of deformable convolutions are half of such a network.
    """
    from onnx import TensorProto, helper, numpy_helper

    stored = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    readers = Counter(name for node in graph.node for name in node.input)
    casts = []
    for node in graph.node:
        weight = node.input[1] if node.op_type in _WEIGHTED and node.name not in kept else ""
        if weight not in stored or readers[weight] > 1:
            continue
        tensor = stored[weight]
        values = numpy_helper.to_array(tensor)
        if values.size < _FEW or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), weight))
        node.input[1] = f"{weight}_32"
        casts.append(helper.make_node("Cast", [weight], [node.input[1]], f"{weight}_cast", to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)


def after_convolutions(graph: Any) -> set[str]:
    """Names of the nodes that choose seeds and of all that follows, with what leads to them after the convolutions.

    None of a network without seeds, which chooses nothing.
    """
    makers = {output: node for node in graph.node for output in node.output}
    names: set[str] = set()
    after: set[str] = set()  # values that depend on a choice
    for node in graph.node:  # sorted: what makes a value comes before what reads it
        if node.op_type == "TopK" or after.intersection(node.input):
            after.update(node.output)
            waiting = [node]
            while waiting:
                found = waiting.pop()
                if found.name not in names and found.op_type not in _LINEAR:
                    names.add(found.name)
                    waiting += [makers[value] for value in found.input if value in makers]
    return names
