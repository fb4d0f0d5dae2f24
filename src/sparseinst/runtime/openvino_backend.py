"""Runs an exported OpenVINO model on the CPU."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import SeedsConfig
from sparseinst.errors import InputError
from sparseinst.modeling.seeds.decoder import Fields
from sparseinst.parsing import readable
from sparseinst.predictions import Candidates
from sparseinst.runtime.exported import INPUTS, Exported
from sparseinst.runtime.fields import FieldsNote
from sparseinst.runtime.tracing import missing_extra

if TYPE_CHECKING:
    import openvino as ov


class OpenVINOBackend:
    """A network in OpenVINO; it may be called from several threads.

    Args:
        model: the .xml file (with its .bin beside it), or a model in memory.
        device: "cpu" or None.
        half: compute in bfloat16 where the processor can; a file exported with 16-bit weights always does. Networks of
            seeds compute in 32 bits all the same, which their places need.
        threads: threads of one call; None takes all cores.

    Attributes:
        exported: what the file says about itself.

    Raises:
        InputError: OpenVINO is not installed, the device is another, or the file is no exported network.
    """

    def __init__(
        self,
        model: "str | Path | ov.Model",
        *,
        device: str | torch.device | None = None,
        half: bool = False,
        threads: int | None = None,
    ) -> None:
        check_openvino_device(device)
        ov = _openvino()
        source = str(model) if isinstance(model, str | Path) else "the OpenVINO model"
        with readable(source, expected="a network that OpenVINO can open", hint="export the network again"):
            if isinstance(model, str | Path):
                model = ov.Core().read_model(model)
            metadata = _metadata(model)
            names = [[name for port in ports for name in port.get_names()] for ports in (model.inputs, model.outputs)]
        self.exported = Exported.from_metadata(metadata, source=source)
        self.exported.check_ports(*names, source=source)
        self.config: ModelConfig = self.exported.config
        self.frame: tuple[int, int] | None = self.config.preprocess.frame_hw
        # In bfloat16 a seed that is hundreds of cells from the corner of the frame draws no ellipse.
        seeds = isinstance(self.config.decoder, SeedsConfig)
        sixteen = (half or self.exported.precision == "fp16") and not seeds
        with readable(source, expected="a network that OpenVINO can compile", hint="export the network again"):
            self._compiled = _compiled(model, half=sixteen, threads=threads)

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """Candidates of padded images (B, C, H, W) and their sizes within the frame (B, 2); they are on the CPU."""
        images = images.cpu().to(getattr(torch, self.exported.images))
        return Candidates(*_run(self._compiled, self.exported.outputs, images, resized_hw))


class OpenVINOFields:
    """What every cell of a network of seeds says, by OpenVINO; it may be called from several threads.

    Args:
        model: the converted `CellsOfSeeds`.
        note: of it.
        half: compute in bfloat16 where the processor can.
        threads: threads of one call; None takes all cores.
    """

    def __init__(self, model: "ov.Model", note: FieldsNote, *, half: bool = False, threads: int | None = None) -> None:
        self._compiled, self._note = _compiled(model, half=half, threads=threads), note

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Fields:
        """See `fields.ComputeFields`; images are uint8."""
        return self._note.gathered(_run(self._compiled, self._note.outputs, images, resized_hw))


def _openvino() -> Any:
    try:
        import openvino as ov
    except ImportError as error:
        raise missing_extra("openvino", "to run .xml files") from error
    return ov


def _compiled(model: "ov.Model", *, half: bool, threads: int | None) -> Any:
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",  # its own choice would depend on the processor
    }
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    return _openvino().compile_model(model, "CPU", settings)


def _run(compiled: Any, outputs: Sequence[str], images: Tensor, resized_hw: Tensor) -> list[Tensor]:
    inputs = dict(zip(INPUTS, (images.cpu().numpy(), resized_hw.cpu().numpy()), strict=True))
    found = compiled.infer_new_request(inputs)
    return [torch.from_numpy(found[name]) for name in outputs]


def check_openvino_device(device: str | torch.device | None) -> None:
    """Raises InputError for another device than the processor."""
    if device is not None and str(device) != "cpu":
        raise InputError(f"device {str(device)!r}: OpenVINO models run on the processor here: use device cpu")


def _metadata(model: "ov.Model") -> Mapping[str, str]:
    if not model.has_rt_info(["sparseinst", "format"]):
        return {}
    return {name: model.get_rt_info(["sparseinst", name]).astype(str) for name in ("format", *Exported.model_fields)}
