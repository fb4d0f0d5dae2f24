"""`sparseinst benchmark`."""

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from sparseinst.cli.early import check_network, check_paths
from sparseinst.cli.options import (
    MODEL_HELP,
    Device,
    Half,
    RandomWeights,
    Score,
    output_file,
    parse_names,
    parse_size,
    pick_device,
)
from sparseinst.cli.telling import print_table, say

if TYPE_CHECKING:
    from sparseinst.inference.pipeline import Pipeline
    from sparseinst.inference.timing import Timing


def benchmark(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODELS]...", help=f"{MODEL_HELP}; several are timed in turn.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Image to time with; without it, the one that ships.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Bring the image to this size first, such as 1080x1920.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="What runs them: eager (the plain network), torch, onnxruntime, openvino; several are compared.",
        ),
    ] = None,
    score: Score = None,
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds.")] = 20,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the CPU; without it, all.")] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the networks that the backend torch runs.")
    ] = False,
    device: Device = "auto",
    half: Half = False,
    random_weights: RandomWeights = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures here.")] = None,
) -> None:
    """Time every step from an image file to encoded masks: median milliseconds, one image at a time.

    Several models and backends run in turn, round after round, so that their ratios hold on a busy machine, too.
    """
    from sparseinst.zoo.names import DEFAULT_MODEL, DEMO_IMAGE

    asked = parse_names(backend)
    names: list[str | None] = [*asked] if asked else [None]
    for model, name in itertools.product(models or [DEFAULT_MODEL], names):
        check_network(model, random_weights=random_weights, backend=name, score=score, device=device)
    check_paths(image)
    size_hw = None if size is None else parse_size(size)
    output_file("--json", json)
    chosen = pick_device(device)
    import torch

    from sparseinst.inference.timing import measure, sized
    from sparseinst.inference.writers import write_json
    from sparseinst.runtime.origin import origin

    if threads is not None:
        torch.set_num_threads(threads)
    choices = _Choices(chosen, half, threads, compiled)
    contestants = [
        (
            model if name is None else f"{model}, {name}",
            _pipeline(model, name, choices, score=score, random_weights=random_weights),
        )
        for model, name in itertools.product(models or [DEFAULT_MODEL], names)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = DEMO_IMAGE if image is None else image
        file = file if size_hw is None else sized(file, size_hw, Path(folder))
        timings = measure(contestants, file, rounds=rounds)
    _print(timings)
    facts = origin()
    say(f"{facts['device']}, {chosen}, {facts['threads']} threads, torch {facts['versions']['torch']}, {rounds} rounds")
    if json is not None:
        figures = [timing.to_json() for timing in timings]
        write_json(json, {"origin": facts | {"run_on": chosen}, "figures": figures})
        say(f"figures: {json}")


class _Choices(NamedTuple):
    """How the networks are opened."""

    device: str
    half: bool
    threads: int | None
    compiled: bool


def _pipeline(
    model: str, backend: str | None, choices: _Choices, *, score: float | None, random_weights: bool
) -> "Pipeline":
    from sparseinst.inference.pipeline import Pipeline
    from sparseinst.runtime.backends import open_backend
    from sparseinst.runtime.names import OWN_THREADS, backend_name
    from sparseinst.zoo.models import load_model

    name = backend or backend_name(model)
    opened = open_backend(
        load_model(model, random_weights=True) if random_weights else model,
        name=name,
        device=choices.device,
        half=choices.half,
        threads=choices.threads if name in OWN_THREADS else None,
        compile=choices.compiled and name == "torch",
    )
    return Pipeline(opened, score=score)


def _print(timings: "list[Timing]") -> None:
    from sparseinst.inference.timing import STEPS

    rows = []
    for timing in timings:
        figures = timing.to_json()
        steps = [f"{figures['median_ms'][step]:.1f}" for step in STEPS]
        height, width = timing.frame_hw
        ends = [f"{figures['total_median_ms']:.1f}", f"{figures['total_p95_ms']:.1f}"]
        rows.append((timing.name, f"{height}x{width}", str(timing.instances), *steps, *ends, f"{timing.peak_mb:.0f}"))
    print_table(("model", "frame", "instances", *STEPS, "total ms", "p95 ms", "peak MB"), rows)
