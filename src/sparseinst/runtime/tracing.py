"""The program from padded images to candidates, or of seeds to what every cell says, as a graph for other runtimes.

There is no second forward: what is traced are the `Segmenter` and the `CellsOfSeeds` that run eagerly, too.
"""

import copy
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils._pytree import tree_leaves

from sparseinst.config.preprocess import PreprocessConfig
from sparseinst.data.geometry import MULTIPLE_PX
from sparseinst.errors import InputError
from sparseinst.modeling.model import SparseInst
from sparseinst.modeling.postprocess import Segmenter
from sparseinst.runtime.exported import INPUTS, Exported
from sparseinst.runtime.fields import CellsOfSeeds

if TYPE_CHECKING:
    import onnx
    import openvino as ov

_EXAMPLE_HW = (96, 160)
"""Any frame of unequal sides: its numbers leave no trace in a program for frames of any size."""
_EXAMPLE_BATCH = 2
_MOST = 2**12
"""Largest batch, and frame in units of 32 pixels, that a .pt2 file takes."""
_ONNX_OPSET = 20


class Note(Protocol):
    """What a converted program says about itself."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of its outputs, in their order."""

    def to_metadata(self) -> dict[str, str]:
        """All that has to be known of it, as text by name."""


class _Plain(nn.Module):
    """Gives a plain tuple without what was not asked for, so that a program loads without this package."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, images: Tensor, resized_hw: Tensor) -> tuple[Tensor, ...]:
        found = tree_leaves(self.part(images, resized_hw))
        return tuple(output for output in found if output is not None)


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
    segmenter = Segmenter(copy.deepcopy(model).to("cpu"), activation=exported.activation)
    images = getattr(torch, exported.images)
    return _traced(_Plain(segmenter), exported.config.preprocess, images=images, in_multiples=in_multiples)


def trace_fields(model: SparseInst) -> ExportedProgram:
    """Traces what a network of seeds computes of every cell, before any seed is chosen, on the CPU.

    Returns:
        A program (images (B, channels, H, W) uint8, resized_hw (B, 2) int64) -> what `FieldsNote.outputs` names, for
        the fixed frame of the network or for any.
    """
    part = CellsOfSeeds(copy.deepcopy(model).to("cpu"))
    return _traced(_Plain(part), model.config.preprocess, images=torch.uint8, in_multiples=False)


def _traced(
    module: nn.Module, preprocess: PreprocessConfig, *, images: torch.dtype, in_multiples: bool
) -> ExportedProgram:
    frame = preprocess.frame_hw
    examples = torch.zeros(_EXAMPLE_BATCH, preprocess.channels, *(frame or _EXAMPLE_HW), dtype=images)
    resized_hw = torch.tensor([examples.shape[2:]] * _EXAMPLE_BATCH)
    batch = {0: Dim.DYNAMIC}
    side: dict[int, Any] = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    if in_multiples:
        batch = {0: Dim("batch", min=1, max=_MOST)}
        side = {2: MULTIPLE_PX * Dim("rows", min=1, max=_MOST), 3: MULTIPLE_PX * Dim("columns", min=1, max=_MOST)}
    with torch.no_grad():
        return torch.export.export(
            module.eval(),
            (examples, resized_hw),
            dynamic_shapes=(batch if frame else batch | side, batch),
            strict=False,
        )


def to_onnx(program: ExportedProgram, note: Note) -> "onnx.ModelProto":
    """A traced program as an ONNX model that carries its metadata.

    Args:
        program: the program.
        note: names of its outputs, and what it says about itself.

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
        output_names=list(note.outputs),
        external_data=False,
        verbose=False,
    )
    assert made is not None
    model: onnx.ModelProto = made.model_proto
    _forget_source(model)
    _name_axes(model)
    onnx.helper.set_model_props(model, note.to_metadata())
    return model


def to_openvino(program: ExportedProgram, note: Note, preprocess: PreprocessConfig) -> "ov.Model":
    """A traced program as an OpenVINO model that carries its metadata.

    Args:
        program: the program.
        note: names of its outputs, and what it says about itself.
        preprocess: tells the frame that it takes.

    Raises:
        InputError: a package of the extra `export` is missing.
    """
    try:
        import openvino as ov
    except ImportError as error:
        raise missing_extra("openvino", "to make OpenVINO models") from error
    model = ov.convert_model(program)
    for ports, names in ((model.inputs, INPUTS), (model.outputs, note.outputs)):
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
    model.reshape({"images": [-1, preprocess.channels, *(preprocess.frame_hw or (-1, -1))], "resized_hw": [-1, 2]})
    for name, value in note.to_metadata().items():
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
                size.dim_param = axes.get(value.name, plain).get(axis, f"{value.name}_{axis}")
