"""From a network to a checked file."""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparseinst.config.model import for_whole_masks
from sparseinst.data.sources import list_sources
from sparseinst.disk import check_room
from sparseinst.exporting import tensorrt_build
from sparseinst.exporting.agreement import Agreement, check
from sparseinst.exporting.comparison import compare
from sparseinst.exporting.formats import Format, check_calibration, check_decoder, format_of, with_frame
from sparseinst.exporting.half import to_half
from sparseinst.exporting.operators import check_candidates, check_operators
from sparseinst.exporting.quantise import quantise
from sparseinst.exporting.quantise_seeds import quantise_seeds
from sparseinst.files import atomic, atomic_folder
from sparseinst.modeling.model import SparseInst, with_max_instances
from sparseinst.runtime.backends import open_backend
from sparseinst.runtime.exported import Exported, Precision, Provenance
from sparseinst.runtime.exported_backend import save_program
from sparseinst.runtime.rewrites import optimise
from sparseinst.runtime.seeds_file import SeedsNote
from sparseinst.runtime.torch_backend import EagerBackend, TorchBackend
from sparseinst.runtime.tracing import to_onnx, to_openvino, trace, trace_fields
from sparseinst.web import site as web
from sparseinst.zoo.models import load_model, weights_file
from sparseinst.zoo.names import shipped_weights

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        files: the exported file first, then those that belong to it.
        exported: what the file says about itself.
        agreement: how far it is from the network, on how many images.
    """

    files: tuple[Path, ...]
    exported: Exported
    agreement: Agreement


def export_model(
    model: SparseInst | str | Path,
    out: str | Path,
    *,
    export_format: str,
    weights: str | Path | None = None,
    size_hw: tuple[int, int] | None = None,
    precision: Precision = "fp32",
    calibration: str | Path | None = None,
    activation: bool = False,
    float_input: bool = False,
    max_instances: int | None = None,
) -> Export:
    """Writes a network for another runtime and checks the file on real images; a file that fails is not left behind.

    Args:
        model: a network, or the name or checkpoint of one.
        out: the file to write; its suffix is that of the format (.onnx, .xml, .pt2; for tensorrt .onnx). For web a
            folder that is not there yet, of which any web server makes a site.
        export_format: one of `formats.FORMATS`.
        weights: for a preset, its weights.
        size_hw: the only frame (height, width) that the file shall take; None takes any whose sides are multiples of
            32, or the fixed frame of the network's settings.
        precision: "fp32"; "fp16" (ONNX, OpenVINO, TensorRT); "int8" (OpenVINO: 8-bit convolutions before the decoder;
            seeds: all but the first and the last).
        calibration: images such as the file will see (folder, glob, list file): int8 needs them, and every export is
            checked on some of them, too.
        activation: a further output, the logits of the activation maps (web always has it).
        float_input: take images as float32 instead of uint8 (TensorRT always does).
        max_instances: of a network of seeds, how many instances the file can find in each image, whatever its frame;
            None is what the network's settings say.

    Raises:
        InputError: the format cannot do what is asked for, a package is missing, or the file differs from the network
            by more than `LIMITS` allow.
    """
    path = Path(out)
    kind = format_of(export_format, path, precision)
    images = [] if calibration is None else list_sources(calibration)
    check_calibration(precision, has_images=bool(images))
    check_room(path.parent, option="out")
    network = model if isinstance(model, SparseInst) else load_model(model, weights=weights)
    if max_instances is not None:
        network = with_max_instances(network, max_instances)
    check_decoder(export_format, network.config, activation=activation, float_input=float_input)
    config = network.config if size_hw is None else with_frame(network.config, size_hw)
    grows = export_format == "seeds"
    exported = Exported(
        config=config if grows else for_whole_masks(config),
        images="float32" if float_input or export_format == "tensorrt" else "uint8",
        precision=precision,
        activation=activation or kind.holds is not None,
        provenance=_provenance(model, weights),
    )
    with _place(kind, path) as written:
        _WRITERS[export_format](network, exported, written, images)
        original = (
            TorchBackend(network, device="cpu") if grows else EagerBackend(network, activation=exported.activation)
        )
        agreement = compare(original, open_backend(written[0], device="cpu"), images)
        check(agreement, precision, path)
    return Export(kind.files(path), exported, agreement)


@contextmanager
def _place(kind: Format, path: Path) -> Iterator[Sequence[Path]]:
    """Temporary names of the files to write, the exported one first; what they stand for appears once all is well."""
    if kind.holds is not None:
        with atomic_folder(path) as folder:
            yield [folder / kind.holds]
        return
    with ExitStack() as stack:  # the exported file itself, entered first, is renamed last
        yield [stack.enter_context(atomic(file)) for file in kind.files(path)]


def _write_onnx(network: SparseInst, exported: Exported, files: Sequence[Path], images: Sequence[Path]) -> None:
    files[0].write_bytes(_onnx(network, exported).SerializeToString())


def _write_tensorrt(network: SparseInst, exported: Exported, files: Sequence[Path], images: Sequence[Path]) -> None:
    model = _onnx(network, exported)
    check_operators(model)
    check_candidates(exported.config)
    files[0].write_bytes(model.SerializeToString())
    files[1].write_text(json.dumps(exported.to_metadata(), indent=2), encoding="utf-8")
    files[2].write_bytes(Path(tensorrt_build.__file__).read_bytes())


def _write_openvino(network: SparseInst, exported: Exported, files: Sequence[Path], images: Sequence[Path]) -> None:
    quantised = exported.precision == "int8"  # which finds the decoder in the plain network
    program = trace(network if quantised else optimise(network), exported)
    model = to_openvino(program, exported, exported.config.preprocess)
    import openvino as ov

    if quantised:
        model = quantise(model, images, exported.config.preprocess, image_type=exported.images)
        for name, value in exported.to_metadata().items():
            model.set_rt_info(value, ["sparseinst", name])
    ov.save_model(model, files[0], compress_to_fp16=exported.precision == "fp16")


def _write_seeds(network: SparseInst, exported: Exported, files: Sequence[Path], images: Sequence[Path]) -> None:
    framed = copy.copy(network)
    framed.config = exported.config
    model = to_onnx(trace_fields(optimise(framed)), SeedsNote(exported, network))
    if exported.precision == "int8":
        model = quantise_seeds(model, images, exported.config.preprocess)
    files[0].write_bytes(model.SerializeToString())


def _write_web(network: SparseInst, exported: Exported, files: Sequence[Path], images: Sequence[Path]) -> None:
    web.write_site(files[0].parent, exported)
    _write_onnx(network, exported, files, images)


def _write_torch(network: SparseInst, exported: Exported, files: Sequence[Path], images: Sequence[Path]) -> None:
    save_program(files[0], trace(network, exported, in_multiples=True), exported)


def _onnx(network: SparseInst, exported: Exported) -> "onnx.ModelProto":
    model = to_onnx(trace(network, exported), exported)
    return to_half(model) if exported.precision == "fp16" else model


_WRITERS: dict[str, Callable[[SparseInst, Exported, Sequence[Path], Sequence[Path]], None]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "torch": _write_torch,
    "tensorrt": _write_tensorrt,
    "seeds": _write_seeds,
    "web": _write_web,
}
"""Name of a format -> who writes its files: gets the network, what is said of it, the files, images to calibrate on."""


def _provenance(model: SparseInst | str | Path, weights: str | Path | None) -> Provenance:
    if isinstance(model, SparseInst):
        return Provenance.of(None)
    file = Path(weights) if weights is not None else shipped_weights(str(model)) or weights_file(model)
    assert file is not None, "the network has been loaded from it"
    return Provenance.of(file)
