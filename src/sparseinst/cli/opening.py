"""From what a command was told to what runs the network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparseinst.cli.options import pick_device
from sparseinst.cli.telling import say
from sparseinst.errors import InputError
from sparseinst.files import is_file

if TYPE_CHECKING:
    from sparseinst.modeling.model import SparseInst
    from sparseinst.runtime.backends import Backend

BackendName = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME",
        help="torch, onnxruntime, openvino or eager; without it, on a CPU ONNX Runtime where it is installed "
        "(each network is converted once), else torch.",
    ),
]


def open_model(
    model: str,
    *,
    weights: Path | None,
    random_weights: bool,
    device: str,
    half: bool,
    backend: str | None = None,
    activation: bool = False,
    threads: int | None = None,
    max_instances: int | None = None,
) -> "Backend":
    """What runs the model of this name: the fastest exact runtime installed, or that of an exported file.

    Args:
        model: a preset, a file of weights, an exported file, or hf:owner/name.
        weights: those of a preset.
        random_weights: fresh ones for a preset.
        device: as given to the command; "auto" leaves the choice to an exported file's runtime.
        half: compute in 16 bits.
        backend: what to run it by; None chooses.
        activation: the activation maps are wanted, which PyTorch gives without another conversion.
        threads: of a runtime that has threads of its own (those of PyTorch are the process's); None is all cores.
        max_instances: of a network of seeds, how many it shall find in each image at most.

    Raises:
        InputError: no such model, device or backend, or an exported file and weights.
    """
    from sparseinst.runtime.backends import open_backend
    from sparseinst.runtime.converting import run_onnx
    from sparseinst.runtime.names import OWN_THREADS, backend_name, is_exported
    from sparseinst.zoo.models import load_model

    def opened(network: "str | Path | SparseInst", on: str | None) -> "Backend":
        own = (backend or backend_name(network)) in OWN_THREADS
        return open_backend(
            network, name=backend, device=on, half=half, threads=threads if own else None, max_instances=max_instances
        )

    if is_exported(model):
        if weights is not None or random_weights:
            raise InputError(f"{model} brings its own weights: leave weights and random weights out")
        return opened(model, None if device == "auto" else device)
    chosen = pick_device(device)
    if backend is None and chosen == "cpu" and not (half or random_weights or activation or max_instances):
        form = converted(model, weights)
        if form is not None:
            return run_onnx(load_model(model, weights=weights), form, threads=threads)
    network = load_model(model, weights=weights, random_weights=random_weights, device=chosen)
    return opened(network, chosen)


def say_what_ships() -> None:
    """Tells what the weights that come with the package know, and how to get others."""
    from sparseinst.zoo.names import PUBLISHED_WEIGHTS

    say(
        "These weights know nuclei in micrographs and nothing else; for the 80 classes of COCO download published "
        f"weights from {PUBLISHED_WEIGHTS} and give --model FILE.pth.",
        style="yellow",
    )


def converted(model: str, weights: Path | None) -> Path | None:
    """The network's form for ONNX Runtime (see `run_onnx`), made now if need be; None if there is none to be had."""
    from sparseinst.runtime.cache import can_convert, converted_file, keep_converted, note_use
    from sparseinst.zoo.models import load_model, settings_of, weights_file
    from sparseinst.zoo.names import shipped_weights

    if not can_convert():
        return None
    source = weights or weights_file(model) or shipped_weights(model)
    if source is None or not is_file(source):
        return None  # loading it says what is wrong
    path = converted_file(settings_of(model, weights), source)
    if is_file(path):
        note_use(path)
        return path
    network = load_model(model, weights=weights)
    say(f"converting {model} for ONNX Runtime, once (kept as {path}; --backend torch does without) ...", stderr=True)
    try:
        keep_converted(path, network, source)
    except Exception as error:  # noqa: BLE001  the exporter's errors have no common class
        reason = str(error).strip().partition("\n")[0]
        say(f"warning: it cannot be converted ({reason}): PyTorch runs it, slower", style="yellow", stderr=True)
        return None
    return path
