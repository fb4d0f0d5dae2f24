"""Networks as files for other runtimes: ONNX, OpenVINO, torch.export, TensorRT; checked before they are done."""

from sparseinst.exporting.agreement import LIMITS, Agreement, Limits
from sparseinst.exporting.exporter import FORMATS, Export, export_model

__all__ = ["FORMATS", "LIMITS", "Agreement", "Export", "Limits", "export_model"]
