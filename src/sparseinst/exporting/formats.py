"""Kinds of exported files and what each can be, told without PyTorch."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import SeedsConfig
from sparseinst.config.preprocess import ShortSideConfig
from sparseinst.errors import InputError, misfit
from sparseinst.runtime.exported import Precision
from sparseinst.web.site import NETWORK_FILE


@dataclass(frozen=True)
class Format:
    """A kind of file: its suffix, precisions, and the endings of files beside it.

    With `holds` it is a folder instead, where the exported file has this name and brings its activation maps.
    """

    suffix: str
    precisions: tuple[Precision, ...]
    beside: tuple[str, ...] = ()
    holds: str | None = None

    def files(self, path: Path) -> tuple[Path, ...]:
        """What is written for this path, the exported file first; of a folder what is in it."""
        if self.holds is not None:
            first = path / self.holds
            return (first, *sorted(file for file in path.rglob("*") if file.is_file() and file != first))
        return (path, *(path.with_suffix(ending) for ending in self.beside))


FORMATS: dict[str, Format] = {
    "onnx": Format(".onnx", ("fp32", "fp16")),
    "openvino": Format(".xml", ("fp32", "fp16", "int8"), (".bin",)),
    "torch": Format(".pt2", ("fp32",)),
    "tensorrt": Format(".onnx", ("fp32", "fp16"), (".json", ".build.py")),
    "seeds": Format(".onnx", ("fp32", "int8")),
    "web": Format("", ("fp32", "fp16"), holds=NETWORK_FILE),
}
"""Name of a format -> what it can do."""


def format_of(name: str, path: Path, precision: Precision) -> Format:
    """The format of this name, for a file of this name in this precision.

    Raises:
        InputError: there is none, or it cannot be that.
    """
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
    return kind


def check_decoder(name: str, config: ModelConfig, *, activation: bool, float_input: bool) -> None:
    """Checks that a network can be in a format.

    Raises:
        InputError: it cannot, or not with these options.
    """
    if name != "seeds":
        return
    if not isinstance(config.decoder, SeedsConfig):
        raise InputError(
            f"format seeds: expected a network of seeds, got one of {config.decoder.kind}: take onnx, or openvino for "
            "int8"
        )
    if activation or float_input:
        raise InputError(
            "format seeds: always gives activation maps and takes uint8: leave activation and float input out"
        )


def check_calibration(precision: Precision, *, has_images: bool) -> None:
    """Checks that there are images where statistics are taken from them.

    Raises:
        InputError: there are none.
    """
    if precision == "int8" and not has_images:
        raise InputError("int8 needs images to take statistics from: give a folder of them as calibration")


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
