"""The whole program, from padded images to candidates, as a graph that other runtimes take.

There is no second forward: what is traced is the `Segmenter` that runs eagerly, too.
"""

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from sparseinst.data.geometry import MULTIPLE_PX
from sparseinst.errors import InputError
from sparseinst.modeling.model import SparseInst
from sparseinst.modeling.postprocess import Segmenter
from sparseinst.runtime.exported import INPUTS, Exported

if TYPE_CHECKING:
    import onnx
    import openvino as ov

_EXAMPLE_HW = (96, 160)
"""Any frame of unequal sides: its numbers leave no trace in a program for frames of any size."""
_EXAMPLE_BATCH = 2
_MOST = 2**12
"""Largest batch, and frame in units of 32 pixels, that a .pt2 file takes."""
_ONNX_OPSET = 20


class _Plain(nn.Module):
    """Gives a plain tuple without what was not asked for, so that a program loads without this package."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: Tensor, resized_hw: Tensor) -> tuple[Tensor, ...]:
        return tuple(output for output in self.segmenter(images, resized_hw) if output is not None)


def trace(model: SparseInst, exported: Exported, *, in_multiples: bool = False) -> ExportedProgram:
    """Traces a network on the CPU.

    Args:
        model: the network; it is left as it is.
        exported: whether images are uint8 or float32, whether the activation maps are given, and the frame
            (`config.preprocess.frame_hw`): None is any whose sides are multiples of 32. The batch may have any size.
        in_multiples: write down that sides are multiples of 32. A program that PyTorch runs needs this, to take a side
            of 32; one that is converted further must not have it, because conversion would fix the example's sides.

    Returns:
        A program (images (B, channels, H, W), resized_hw (B, 2) int64) -> the tensors of `exported.outputs`.
    """
    frame = exported.config.preprocess.frame_hw
    segmenter = Segmenter(copy.deepcopy(model).to("cpu"), activation=exported.activation)
    shape = (_EXAMPLE_BATCH, exported.config.preprocess.channels, *(frame or _EXAMPLE_HW))
    images = torch.zeros(shape, dtype=getattr(torch, exported.images))
    resized_hw = torch.tensor([images.shape[2:]] * _EXAMPLE_BATCH)
    batch = {0: Dim.DYNAMIC}
    side: dict[int, Any] = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    if in_multiples:
        batch = {0: Dim("batch", min=1, max=_MOST)}
        side = {2: MULTIPLE_PX * Dim("rows", min=1, max=_MOST), 3: MULTIPLE_PX * Dim("columns", min=1, max=_MOST)}
    with torch.no_grad():
        return torch.export.export(
            _Plain(segmenter).eval(),
            (images, resized_hw),
            dynamic_shapes=(batch if frame else batch | side, batch),
            strict=False,
        )


def to_onnx(program: ExportedProgram, exported: Exported) -> "onnx.ModelProto":
    """A traced program as an ONNX model that carries its metadata.

    Raises:
        InputError: a package of the extra `export` is missing.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise missing_extra("onnx and onnxscript", "to make ONNX") from error
    made = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=_ONNX_OPSET,
        input_names=list(INPUTS),
        output_names=list(exported.outputs),
        external_data=False,
        verbose=False,
    )
    assert made is not None
    model: onnx.ModelProto = made.model_proto
    _forget_source(model)
    _name_axes(model)
    onnx.helper.set_model_props(model, exported.to_metadata())
    return model


def to_openvino(program: ExportedProgram, exported: Exported) -> "ov.Model":
    """A traced program as an OpenVINO model that carries its metadata.

    Raises:
        InputError: a package of the extra `export` is missing.
    """
    try:
        import openvino as ov
    except ImportError as error:
        raise missing_extra("openvino", "to make OpenVINO models") from error
    model = ov.convert_model(program)
    for ports, names in ((model.inputs, INPUTS), (model.outputs, exported.outputs)):
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
    preprocess = exported.config.preprocess
    model.reshape({"images": [-1, preprocess.channels, *(preprocess.frame_hw or (-1, -1))], "resized_hw": [-1, 2]})
    for name, value in exported.to_metadata().items():
        model.set_rt_info(value, ["sparseinst", name])
    return model


def missing_extra(packages: str, purpose: str) -> InputError:
    """The error for a package that is not installed."""
    return InputError(
        f"expected {packages} {purpose}, found no such package: install it with `pip install 'sparseinst[export]'`"
    )


def _forget_source(model: Any) -> None:
    """Removes what the exporter notes at every node: lines and paths of the code that was traced."""
    for item in [model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output]:
        del item.metadata_props[:]
        item.ClearField("doc_string")
    del model.graph.value_info[:]


def _name_axes(model: Any) -> None:
    """Gives the axes that are known only at run time their names."""
    plain = {0: "batch", 1: "candidates"}
    axes = {
        "images": {0: "batch", 2: "height", 3: "width"},
        "masks": {**plain, 2: "mask_height", 3: "mask_width"},
        "activation": {0: "batch", 1: "maps", 2: "activation_height", 3: "activation_width"},
    }
    for value in [*model.graph.input, *model.graph.output]:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = axes.get(value.name, plain)[axis]
