"""From a network to a checked file."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from sparseinst.config import ModelConfig, ShortSideConfig, for_whole_masks
from sparseinst.data.sources import list_sources
from sparseinst.disk import check_room
from sparseinst.errors import InputError, misfit
from sparseinst.exporting import tensorrt_build
from sparseinst.exporting.agreement import Agreement, check, compare
from sparseinst.exporting.half import to_half
from sparseinst.exporting.operators import check_candidates, check_operators
from sparseinst.exporting.quantise import quantise
from sparseinst.files import atomic, atomic_folder
from sparseinst.modeling.model import SparseInst, with_max_instances
from sparseinst.runtime.backends import open_backend
from sparseinst.runtime.exported import Exported, Precision, Provenance
from sparseinst.runtime.exported_backend import save_program
from sparseinst.runtime.rewrites import optimise
from sparseinst.runtime.torch_backend import EagerBackend
from sparseinst.runtime.tracing import to_onnx, to_openvino, trace
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


@dataclass(frozen=True)
class _Format:
    """A kind of file: its suffix, precisions, the endings of files beside it, and who writes them all.

    With `holds` it is a folder instead, where the exported file has this name and brings its activation maps.
    """

    suffix: str
    precisions: tuple[Precision, ...]
    write: Callable[[SparseInst, Exported, Sequence[Path], Sequence[Path]], None]
    beside: tuple[str, ...] = ()
    holds: str | None = None


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
        export_format: one of `FORMATS`.
        weights: for a preset, its weights.
        size_hw: the only frame (height, width) that the file shall take; None takes any whose sides are multiples of
            32, or the fixed frame of the network's settings.
        precision: "fp32"; "fp16" (ONNX, OpenVINO, TensorRT); "int8" (OpenVINO: 8-bit convolutions before the decoder).
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
    kind, path = _format(export_format, Path(out), precision)
    images = [] if calibration is None else list_sources(calibration)
    if precision == "int8" and not images:
        raise InputError("int8 needs images to take statistics from: give a folder of them as calibration")
    check_room(path.parent, option="out")
    network = model if isinstance(model, SparseInst) else load_model(model, weights=weights)
    if max_instances is not None:
        network = with_max_instances(network, max_instances)
    exported = Exported(
        config=for_whole_masks(network.config if size_hw is None else with_frame(network.config, size_hw)),
        images="float32" if float_input or export_format == "tensorrt" else "uint8",
        precision=precision,
        activation=activation or kind.holds is not None,
        provenance=_provenance(model, weights),
    )
    with _place(kind, path) as written:
        kind.write(network, exported, written, images)
        original = EagerBackend(network, activation=exported.activation)
        agreement = compare(original, open_backend(written[0], device="cpu"), images)
        check(agreement, precision, path)
    return Export(_files(kind, path), exported, agreement)


def with_frame(config: ModelConfig, size_hw: tuple[int, int]) -> ModelConfig:
    """The settings with a fixed frame; images are resized to fit into it.

    Raises:
        InputError: a side is no multiple of 32.
    """
    preprocess = config.preprocess
    changes: dict[str, object] = {"frame_hw": size_hw}
    if isinstance(preprocess, ShortSideConfig):
        changes["short_px"] = min(preprocess.short_px, *size_hw)
        changes["long_px"] = min(preprocess.long_px, max(size_hw))
    try:
        changed = type(preprocess).model_validate({**preprocess.model_dump(), **changes})
    except ValidationError as error:
        raise InputError(f"size {size_hw[0]}x{size_hw[1]}: {misfit(error)}") from error
    return config.model_copy(update={"preprocess": changed})


@contextmanager
def _place(kind: _Format, path: Path) -> Iterator[Sequence[Path]]:
    """Temporary names of the files to write, the exported one first; what they stand for appears once all is well."""
    if kind.holds is not None:
        with atomic_folder(path) as folder:
            yield [folder / kind.holds]
        return
    with ExitStack() as stack:  # the exported file itself, entered first, is renamed last
        yield [stack.enter_context(atomic(file)) for file in _files(kind, path)]


def _files(kind: _Format, path: Path) -> tuple[Path, ...]:
    if kind.holds is not None:
        first = path / kind.holds
        return (first, *sorted(file for file in path.rglob("*") if file.is_file() and file != first))
    return (path, *(path.with_suffix(ending) for ending in kind.beside))


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


def _write_web(network: SparseInst, exported: Exported, files: Sequence[Path], images: Sequence[Path]) -> None:
    web.write_site(files[0].parent, exported)
    _write_onnx(network, exported, files, images)


def _write_torch(network: SparseInst, exported: Exported, files: Sequence[Path], images: Sequence[Path]) -> None:
    save_program(files[0], trace(network, exported, in_multiples=True), exported)


def _onnx(network: SparseInst, exported: Exported) -> "onnx.ModelProto":
    model = to_onnx(trace(network, exported), exported)
    return to_half(model) if exported.precision == "fp16" else model


FORMATS: dict[str, _Format] = {
    "onnx": _Format(".onnx", ("fp32", "fp16"), _write_onnx),
    "openvino": _Format(".xml", ("fp32", "fp16", "int8"), _write_openvino, (".bin",)),
    "torch": _Format(".pt2", ("fp32",), _write_torch),
    "tensorrt": _Format(".onnx", ("fp32", "fp16"), _write_tensorrt, (".json", ".build.py")),
    "web": _Format("", ("fp32", "fp16"), _write_web, holds=web.NETWORK_FILE),
}
"""Name of a format -> what it can do and who writes it."""


def _format(name: str, path: Path, precision: Precision) -> tuple[_Format, Path]:
    if name not in FORMATS:
        raise InputError(f"format {name!r}: unknown; expected one of {', '.join(FORMATS)}")
    kind = FORMATS[name]
    if precision not in kind.precisions:
        able = [other for other, it in FORMATS.items() if precision in it.precisions]
        raise InputError(
            f"{precision}: format {name} offers {', '.join(kind.precisions)}: take one of them, or "
            f"{' or '.join(able)} for {precision}"
        )
    if kind.holds is None and path.suffix != kind.suffix:
        raise InputError(f"{path}: expected a file that ends in {kind.suffix} for format {name}: rename it")
    return kind, path


def _provenance(model: SparseInst | str | Path, weights: str | Path | None) -> Provenance:
    if isinstance(model, SparseInst):
        return Provenance.of(None)
    file = Path(weights) if weights is not None else shipped_weights(str(model)) or weights_file(model)
    assert file is not None, "the network has been loaded from it"
    return Provenance.of(file)
