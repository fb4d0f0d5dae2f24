"""Services over backends whose answers are known, and how tests talk to them."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import torch
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from inference.standins import ColorBackend
from sparseinst.modeling.model import build_model
from sparseinst.predictions import Candidates
from sparseinst.runtime.backends import Backend
from sparseinst.runtime.torch_backend import EagerBackend
from sparseinst.serving.app import create_app
from sparseinst.serving.settings import ServeSettings
from tiny import tiny_config

HERE = "http://localhost"


class GatedBackend(ColorBackend):
    """A network that can be held: it waits while `gate` is cleared."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        self.entered.set()
        assert self.gate.wait(20), "the test has never opened the gate"
        return super().__call__(images, resized_hw)


def tiny_backend() -> EagerBackend:
    """A real network, with fresh weights: at score 0 it finds something in every image."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return EagerBackend(build_model(tiny_config()))


def app_of(backend: Backend, *, explaining: Backend | None = None, **settings: Any) -> FastAPI:
    def open_network(*, activation: bool = False) -> Backend:
        return explaining if activation and explaining is not None else backend

    return create_app(ServeSettings(**settings), open_network)


@asynccontextmanager
async def client_of(app: FastAPI, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that is ready."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=HERE, timeout=30, **options) as client,
    ):
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.01)
        yield client


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs a test's coroutine, which must come to an end."""

    async def limited() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(limited())


def picture(
    height: int = 64, width: int = 96, *, channel: int = 0, box: tuple[int, int, int, int] = (16, 8, 48, 40)
) -> NDArray[np.uint8]:
    """Black with one bright box (x0, y0, x1, y1)."""
    image = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = box
    image[y0:y1, x0:x1, channel] = 255
    return image


def encoded(image: NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, kind, **options)
    return content.getvalue()


def form(*files: bytes) -> list[tuple[str, bytes]]:
    return [("image", file) for file in files]


def code_of(response: httpx.Response) -> str:
    """The code of an error, whose message must be a sentence with advice."""
    error = response.json()["error"]
    assert set(error) == {"code", "message"} and len(error["message"]) > 20
    return str(error["code"])
