"""`sparseinst export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparseinst.cli.early import check_model
from sparseinst.cli.options import Weights, output_file, parse_size
from sparseinst.cli.telling import console, print_table, say
from sparseinst.errors import InputError, typed

if TYPE_CHECKING:
    from sparseinst.runtime.exported import Precision


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
            metavar="onnx|openvino|torch|tensorrt|seeds|web",
            help="seeds is an ONNX file for large images, whose masks this package grows; torch is a .pt2 of "
            "torch.export; tensorrt an ONNX file and the script that builds its engine; web a "
            "static site that runs the network in the visitor's browser.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="File to write: .onnx, .xml, .pt2; for tensorrt and seeds .onnx; for web a folder."
        ),
    ],
    weights: Weights = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="The only padded frame that the file takes; without it, the model's, or any."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="16-bit weights (onnx, openvino, tensorrt, web).")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="8-bit convolutions (openvino, seeds); needs --calibration.")
    ] = False,
    calibration: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Images such as the file will see: for --int8, and to check the file on."),
    ] = None,
    activation: Annotated[
        bool,
        typer.Option("--activation", help="A further output: the logits of the activation maps (web always has it)."),
    ] = False,
    float_input: Annotated[
        bool, typer.Option("--float-input", help="Take images as float32 instead of uint8, 0..255 either way.")
    ] = False,
    max_instances: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Most instances in an image that the file can find (networks of seeds); without "
            "it, what the network's settings say.",
        ),
    ] = None,
) -> None:
    """Write a network for another runtime, checked against the original on real images.

    What is written holds settings and classes, too: --model FILE of predict and evaluate takes it. A web site is
    shown by any web server, such as python -m http.server.
    """
    from sparseinst.data.sources import list_sources
    from sparseinst.exporting.formats import check_calibration, check_decoder, format_of, with_frame
    from sparseinst.modeling.budget import check_budget
    from sparseinst.zoo.header import known_config
    from sparseinst.zoo.names import check_ships

    if half and int8:
        raise InputError("--half and --int8: expected one precision, got both: leave one out")
    precision: Precision = "int8" if int8 else "fp16" if half else "fp32"
    kind = format_of(export_format, out, precision)
    check_calibration(precision, has_images=calibration is not None)
    size_hw = None if size is None else parse_size(size)
    check_model(model, weights)
    if weights is None:
        check_ships(model)
    config = known_config(model, weights)
    if config is not None:
        check_decoder(export_format, config, activation=activation, float_input=float_input)
    if config is not None and size_hw is not None:
        with_frame(config, size_hw)
    if config is not None and max_instances is not None:
        check_budget(config.decoder, max_instances)
    if calibration is not None:
        list_sources(calibration)
    if kind.holds is None:  # which is a folder
        output_file("--out", out)
    from sparseinst.exporting.exporter import export_model

    with console(stderr=True).status(f"exporting {model} ..."):
        done = export_model(
            model, out, export_format=export_format, weights=weights,
            size_hw=size_hw, precision=precision, calibration=calibration,
            activation=activation, float_input=float_input, max_instances=max_instances,
        )  # fmt: skip
    agreement = done.agreement
    say(f"{model} and {out} on {agreement.images} images, {agreement.instances} instances:")
    print_table(("", done.exported.precision), agreement.table())
    frame = done.exported.config.preprocess.frame_hw
    say(f"frame: {'any, in multiples of 32' if frame is None else f'{frame[0]}x{frame[1]}'}; batch: any")
    say(f"at most {done.exported.config.room}")
    if export_format == "web":
        megabytes = sum(path.stat().st_size for path in done.files) / 1e6
        say(f"{out}: {len(done.files)} files, {megabytes:.1f} MB")
        say(f"look at it: python -m http.server --directory {out}, then http://localhost:8000", style="bold")
        return
    for path in done.files:
        say(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    if export_format == "tensorrt":
        say(f"build the engine where it will run: python {done.files[-1]}", style="bold")
    else:
        say(f"try it: sparseinst predict IMAGES --model {typed(out)}", style="bold")
