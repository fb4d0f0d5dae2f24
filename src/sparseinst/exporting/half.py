"""Makes an ONNX model compute in 16 bits where that is safe."""

from typing import Any

from sparseinst.runtime.tracing import missing_extra

_FLOAT = ("MatMul", "Gemm", "ReduceSum", "ReduceMax", "Softmax", "Div", "Sqrt", "Clip", "Range", "Where", "DeformConv")
"""Kept in 32 bits: the weights over pixels are too small for 16 (1e-4 and less), sums over pixels too large."""
_LINEAR = ("Conv", "DeformConv", "Gemm")
"""What seeds are made of comes from these."""


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
    return convert_float_to_float16(
        model,
        keep_io_types=True,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *_FLOAT],
        node_block_list=sorted(after_convolutions(model.graph)),
    )


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
