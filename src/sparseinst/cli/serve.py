"""`sparseinst serve`."""

import os
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from sparseinst.cli.early import check_network
from sparseinst.cli.opening import BackendName, open_model, say_what_ships
from sparseinst.cli.options import (
    MODEL_HELP,
    Device,
    Diameter,
    Half,
    MaxInstances,
    NoTile,
    Overlap,
    RandomWeights,
    Scale,
    Score,
    Tile,
    Weights,
    chosen_tile,
    pick_device,
)
from sparseinst.cli.telling import say
from sparseinst.errors import InputError, misfit

API_KEY = "SPARSEINST_API_KEY"
"""Environment variable with the key that clients have to show; unlike an option it is in no list of processes."""

_NEEDED = ("fastapi", "uvicorn", "websockets", "python_multipart", "prometheus_client")


Form = Literal["text", "json", "none"]


def serve(
    model: Annotated[
        str | None, typer.Option(metavar="NAME_OR_PATH", help=f"{MODEL_HELP}; without it, the nuclei network.")
    ] = None,
    weights: Weights = None,
    random_weights: RandomWeights = False,
    backend: BackendName = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is all of this machine, and wants an API key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each with a network and its share of cores.")] = 1,
    max_batch: Annotated[int, typer.Option(min=1, help="Images of one padded frame at once in the network.")] = 8,
    max_wait_ms: Annotated[float, typer.Option(min=0, help="Longest wait of an image for others, in ms.")] = 2.0,
    queue: Annotated[int, typer.Option(min=1, help="Images in a process at once; more are sent away (503).")] = 64,
    timeout: Annotated[float, typer.Option(metavar="S", help="Longest time for a request, in seconds.")] = 30.0,
    max_body_mb: Annotated[float, typer.Option(metavar="MB", help="Largest request or frame.")] = 32.0,
    max_pixels: Annotated[int, typer.Option(min=1, help="Most pixels of an image.")] = 50_000_000,
    max_images: Annotated[int, typer.Option(min=1, help="Most images in one request.")] = 16,
    max_decoded_mb: Annotated[
        float, typer.Option(metavar="MB", help="Most memory for decoding the images of a request, and of all at once.")
    ] = 1000.0,
    min_rate_kb: Annotated[float, typer.Option(metavar="KB", help="Least kB a second of a request.")] = 20.0,
    max_connections: Annotated[int, typer.Option(min=1, help="Open connections to a process.")] = 256,
    header_timeout: Annotated[float, typer.Option(metavar="S", help="Longest time for a request's headers.")] = 10.0,
    access_log: Annotated[Form, typer.Option(help="A line for each request, with its id.")] = "text",
    api_key: Annotated[
        str | None, typer.Option(envvar=API_KEY, help="Key that clients have to show.", show_envvar=True)
    ] = None,
    no_api_key: Annotated[
        bool, typer.Option("--no-api-key", help="Listen beyond this machine without a key: everybody may use it.")
    ] = False,
    cors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN", help="Another site whose pages may use the service, as https://host; repeatable."
        ),
    ] = None,
    score: Score = None,
    device: Device = "auto",
    half: Half = False,
    tile: Tile = None,
    no_tile: NoTile = False,
    overlap: Overlap = None,
    scale: Scale = None,
    diameter: Diameter = None,
    max_instances: MaxInstances = None,
) -> None:
    """Serve a network: a web page for people, HTTP and a WebSocket for programs.

    Ctrl-C or SIGTERM ends it when what runs is finished.
    """
    from sparseinst.zoo.names import DEFAULT_MODEL

    tile = chosen_tile(tile, no_tile)
    check_network(
        model or DEFAULT_MODEL, weights=weights, random_weights=random_weights, backend=backend, score=score,
        device=device, half=half, tile=tile, overlap=overlap, scale=scale, diameter=diameter,
        max_instances=max_instances, colours="the service and its page",
    )  # fmt: skip
    _check_installed()
    from sparseinst.serving.settings import ServeSettings

    name = DEFAULT_MODEL if model is None else model
    shipped = name == DEFAULT_MODEL and weights is None and not random_weights
    try:
        settings = ServeSettings(
            host=host, port=port, workers=workers, max_batch=max_batch, max_wait_ms=max_wait_ms, queue=queue,
            timeout_s=timeout, max_body_mb=max_body_mb, max_pixels=max_pixels, max_images=max_images, api_key=api_key,
            open_to_all=no_api_key, cors=tuple(cors or ()), score=score, tile=tile, overlap=overlap, scale=scale,
            diameter=diameter, max_instances=max_instances,
            max_decoded_mb=max_decoded_mb, min_rate_kb=min_rate_kb,
            max_connections=max_connections, header_timeout_s=header_timeout, access_log=access_log,
            name=name if name.startswith("hf:") else Path(name).stem, shipped=shipped,
        )  # fmt: skip
    except ValidationError as error:
        raise InputError(f"{misfit(error)}: give another value") from error
    settings.check()
    pick_device(device)
    open_network = partial(
        open_model, name, weights=weights, random_weights=random_weights, device=device, half=half, backend=backend,
        threads=settings.threads,
    )  # fmt: skip
    if shipped:
        say_what_ships()

    def tell(address: str) -> None:
        say(f"The page is at {address}", style="bold")
        say(f"For programs: POST {address}/v1/predict, described in {address}/openapi.json")
        say(f"Ctrl-C ends it (process {os.getpid()})")

    from sparseinst.serving.server import serve as run

    run(settings, open_network, on_listening=tell)


def _check_installed() -> None:
    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        raise InputError(
            f"serve: expected the package {missing[0]}, found none: install the service with "
            "pip install 'sparseinst[serve]'"
        )
