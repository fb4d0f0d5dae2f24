"""`sparseinst export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparseinst.cli.common import Weights, console, output_file, parse_size, print_table, say
from sparseinst.errors import InputError

if TYPE_CHECKING:
    from sparseinst.inference.exported import Precision


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_PATH", help="A preset (see `sparseinst models`), a .safetensors file, or a published .pth."
        ),
    ],
    export_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="onnx|openvino|torch|tensorrt",
            help="torch is a .pt2 of torch.export; tensorrt an ONNX file and the script that builds its engine.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write: .onnx, .xml, .pt2; for tensorrt .onnx.")],
    weights: Weights = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="The only padded frame that the file takes; without it, the model's, or any."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="16-bit weights (onnx, openvino, tensorrt).")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="8-bit convolutions before the decoder (openvino); needs --calibration.")
    ] = False,
    calibration: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Images such as the file will see: for --int8, and to check the file on."),
    ] = None,
    activation: Annotated[
        bool, typer.Option("--activation", help="A further output: the logits of the activation maps.")
    ] = False,
    float_input: Annotated[
        bool, typer.Option("--float-input", help="Take images as float32 instead of uint8, 0..255 either way.")
    ] = False,
) -> None:
    """Write a network for another runtime, checked against the original on real images.

    What is written holds settings and classes, too: --model FILE of predict and evaluate takes it.
    """
    from sparseinst.export import export_model

    if half and int8:
        raise InputError("--half and --int8: expected one precision, got both: leave one out")
    precision: Precision = "int8" if int8 else "fp16" if half else "fp32"
    output_file("--out", out)
    with console(stderr=True).status(f"exporting {model} ..."):
        done = export_model(
            model, out, export_format=export_format, weights=weights,
            size_hw=None if size is None else parse_size(size), precision=precision, calibration=calibration,
            activation=activation, float_input=float_input,
        )  # fmt: skip
    agreement = done.agreement
    say(f"{model} and {out} on {agreement.images} images, {agreement.instances} instances:")
    print_table(("", done.exported.precision), agreement.table())
    frame = done.exported.config.preprocess.frame_hw
    say(f"frame: {'any, in multiples of 32' if frame is None else f'{frame[0]}x{frame[1]}'}; batch: any")
    for path in done.files:
        say(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    if export_format == "tensorrt":
        say(f"build the engine where it will run: python {done.files[-1]}", style="bold")
    else:
        say(f"try it: sparseinst predict IMAGES --model {out}", style="bold")
