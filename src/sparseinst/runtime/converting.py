"""Networks in the form of another runtime, and how that form is run.

Of a network of slots it is the whole program. Of a network of seeds it is what every cell says (`fields`): seeds are
chosen and grown by PyTorch, as many as the image has and in windows, which no fixed shapes can do.
"""

from pathlib import Path

from sparseinst.config.network import SeedsConfig
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.exported import Exported, Provenance
from sparseinst.runtime.fields import FieldsNote
from sparseinst.runtime.onnx_backend import OnnxBackend, OnnxFields, open_session
from sparseinst.runtime.openvino_backend import OpenVINOBackend, OpenVINOFields
from sparseinst.runtime.rewrites import optimise
from sparseinst.runtime.torch_backend import TorchBackend
from sparseinst.runtime.tracing import to_onnx, to_openvino, trace, trace_fields


def onnx_of(network: SparseInst, weights: Path | None = None) -> bytes:
    """The form for ONNX Runtime: the content of an ONNX file (some seconds).

    Args:
        network: the network.
        weights: the file that it was read from, which a whole program names.

    Raises:
        InputError: a package of the extra `export` is missing.
    """
    note = _note(network, weights)
    # Of seeds it is the rewritten network, which spares the widest map; of the rest ONNX Runtime fuses more by itself.
    program = trace(network, note) if isinstance(note, Exported) else trace_fields(optimise(network))
    content: bytes = to_onnx(program, note).SerializeToString()
    return content


def run_onnx(network: SparseInst, form: bytes | Path, *, threads: int | None = None) -> OnnxBackend | TorchBackend:
    """A network by ONNX Runtime on the CPU.

    Args:
        network: the network.
        form: what `onnx_of` makes of it, or the file that holds that.
        threads: of one call; None takes all cores.
    """
    note = _note(network)
    if isinstance(note, Exported):
        return OnnxBackend(form, device="cpu", threads=threads)
    session = open_session(form, device="cpu", threads=threads).session
    return TorchBackend(network, device="cpu", fields=OnnxFields(session, note))


def run_openvino(network: SparseInst, *, half: bool, threads: int | None) -> OpenVINOBackend | TorchBackend:
    """A network by OpenVINO on the CPU, converted first; half and threads as for `OpenVINOBackend`.

    Raises:
        InputError: a package of the extra `export` is missing.
    """
    # Faster from the rewritten network, whatever its kind.
    fast, note = optimise(network), _note(network)
    program = trace(fast, note) if isinstance(note, Exported) else trace_fields(fast)
    model = to_openvino(program, note, network.config.preprocess)
    if isinstance(note, Exported):
        return OpenVINOBackend(model, half=half, threads=threads)
    return TorchBackend(network, device="cpu", fields=OpenVINOFields(model, note, half=half, threads=threads))


def _note(network: SparseInst, weights: Path | None = None) -> Exported | FieldsNote:
    decoder = network.config.decoder
    if isinstance(decoder, SeedsConfig):
        return FieldsNote(decoder.levels)
    return Exported(config=network.config, provenance=Provenance.of(weights))
