"""Requests and streams to the service, given to it as its server would, with a network that finds nothing."""

import asyncio
import base64
import contextlib
import io
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import torch
from fastapi import FastAPI
from PIL import Image
from torch import Tensor

from fuzzing.pictures import cuts
from sparseinst.config.model import ModelConfig
from sparseinst.config.preprocess import ShortSideConfig
from sparseinst.predictions import Candidates
from sparseinst.serving.app import create_app
from sparseinst.serving.settings import ServeSettings

_LONGEST_S = 20
_BOUNDARY = b"x7"
_NO_TARGET, _NO_TOKEN = re.compile(r"[^\x21-\x7e]"), re.compile(r"[^\w!#$%&'*+.^`|~-]", re.ASCII)
_NO_VALUE = re.compile(r"[^\x20-\x7e\x80-\xff]")


class Blind:
    """A network that finds nothing, at once."""

    config = ModelConfig(classes=("a",), preprocess=ShortSideConfig(short_px=64, long_px=96))
    frame: tuple[int, int] | None = None

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """No instance."""
        count, height, width = len(images), images.shape[2] // 4, images.shape[3] // 4
        zeros = torch.zeros(count, 1)
        return Candidates(zeros, zeros.long(), torch.zeros(count, 1, height, width), zeros)


@cache
def _running(key: str | None) -> tuple[FastAPI, asyncio.AbstractEventLoop, object]:
    """A service of this process, ready, its loop, and what it lives by."""
    loop = asyncio.new_event_loop()
    settings = ServeSettings(api_key=key, max_body_mb=1, max_pixels=10**6, max_images=4, access_log="json")
    app = create_app(settings, lambda *, activation=False: Blind())

    life = app.router.lifespan_context(app)

    async def start() -> None:
        await life.__aenter__()
        status = 0
        while status != 200:
            await asyncio.sleep(0.01)
            (status, _), _ = await _answer(app, _scope("http", {"path": "/readyz"}), [{"type": "http.request"}])

    loop.run_until_complete(start())
    return app, loop, life


def _scope(kind: str, told: dict[str, Any]) -> dict[str, Any]:
    """A request, without what h11 takes from nobody."""
    headers = told.get("headers")
    pairs = [pair for pair in headers if isinstance(pair, list) and len(pair) == 2] if isinstance(headers, list) else []
    path = unquote(_NO_TARGET.sub("", str(told.get("path", "/"))), errors="replace")
    named = [(_NO_TOKEN.sub("", str(name)).lower() or "x", _NO_VALUE.sub("", str(value))) for name, value in pairs]
    return {
        "type": kind, "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "",
        "method": _NO_TOKEN.sub("", str(told.get("method", "GET"))).upper() or "GET", "path": path,
        "raw_path": quote(path).encode(), "query_string": _NO_TARGET.sub("", str(told.get("query", ""))).encode(),
        "headers": [(name.encode(), value.encode("latin1", "replace")) for name, value in named], "subprotocols": [],
        "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8000), "extensions": {},
    }  # fmt: skip


async def _answer(
    app: FastAPI, scope: dict[str, Any], messages: list[dict[str, Any]]
) -> tuple[tuple[int, bytes], list[dict[str, Any]]]:
    """Status and body, or what a stream got, of messages that end with the client's going."""
    coming, sent = iter(messages), []
    answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        message = next(coming, None)
        if message is None:
            await answered.wait()
            return {"type": "http.disconnect" if scope["type"] == "http" else "websocket.disconnect", "code": 1000}
        return message

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if scope["type"] == "websocket" or not message.get("more_body", message["type"] == "http.response.start"):
            answered.set()

    async with asyncio.timeout(_LONGEST_S):
        await app(scope, receive, send)
    status = next((message["status"] for message in sent if message["type"] == "http.response.start"), 0)
    return (status, b"".join(message.get("body", b"") for message in sent)), sent


def read_request(folder: Path) -> None:
    """Sends what a folder holds: request.json and the body beside it.

    Raises:
        AssertionError: the answer is an error of the service, or none.
    """
    told = _told(folder)
    app, loop, _ = _running(told.get("key") if isinstance(told.get("key"), str) and told["key"] == "secret" else None)
    body = b"".join(file.read_bytes() for file in sorted(folder.glob("*.body")))
    with contextlib.suppress(KeyError, AttributeError):
        body = body or json.dumps(told["json"]).encode()
    half = len(body) // 2
    parts = [
        {"type": "http.request", "body": body[:half], "more_body": True},
        {"type": "http.request", "body": body[half:], "more_body": False},
    ]
    (status, content), _ = loop.run_until_complete(_answer(app, _scope("http", told), parts))
    assert 200 <= status < 500 or status == 503, f"status {status}: {content[:300]!r}"
    assert status < 400 or len(content) < 2000, f"{len(content):,} bytes about an error: {content[:300]!r}"


def read_stream(folder: Path) -> None:
    """Opens a stream and sends its messages.

    Raises:
        AssertionError: something other than answers and endings came.
    """
    told = _told(folder)
    app, loop, _ = _running("secret" if told.get("key") == "secret" else None)
    messages: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    given = told.get("messages")
    for message in given if isinstance(given, list) else ():
        if isinstance(message, dict):
            content = b"no picture"
            with contextlib.suppress(ValueError):
                content = base64.b64decode(str(message.get("base64", "")))
            messages.append({"type": "websocket.receive", "bytes": content})
        else:
            messages.append({"type": "websocket.receive", "text": str(message)})
    _, sent = loop.run_until_complete(_answer(app, _scope("websocket", told), messages))
    kinds = {"websocket.accept", "websocket.send", "websocket.close"}
    assert {message["type"] for message in sent} <= kinds, sent


def _told(folder: Path) -> dict[str, Any]:
    try:
        told = json.loads((folder / "request.json").read_text(errors="replace"))
    except (ValueError, RecursionError):
        told = {}
    return told if isinstance(told, dict) else {}


def _picture() -> bytes:
    content = io.BytesIO()
    Image.fromarray(next(cuts())).save(content, "PNG")
    return content.getvalue()


def _written(folder: Path, number: int, told: dict[str, Any], body: bytes | None = None) -> None:
    place = folder / f"{number}"
    place.mkdir(parents=True)
    (place / "request.json").write_text(json.dumps(told))
    if body is not None:
        (place / "a.body").write_bytes(body)


_HOST = ["host", "localhost:8000"]


def forms(folder: Path) -> None:
    """Forms of one image and of several."""
    about = b'Content-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png'
    part = b"--%b\r\n" + about + b"\r\n\r\n%b\r\n"
    for number in range(2):
        body = part % (_BOUNDARY, _picture()) * (number + 1) + b"--%b--\r\n" % _BOUNDARY
        headers = [_HOST, ["content-type", f"multipart/form-data; boundary={_BOUNDARY.decode()}"]]
        told = {"method": "POST", "path": "/v1/predict", "query": "score=0.5&masks=polygons", "headers": headers}
        _written(folder, number, told, body)


def bodies(folder: Path) -> None:
    """Images in JSON."""
    told = {"method": "POST", "path": "/v1/predict", "headers": [_HOST, ["content-type", "application/json"]]}
    sent = {"images": [base64.b64encode(_picture()).decode()], "score": 0.5, "masks": "png", "activation": False}
    _written(folder, 0, {**told, "json": sent})
    _written(folder, 1, {**told, "json": {**sent, "preview": True}, "query": "score=0.1&masks=rle&preview=true"})


def addresses(folder: Path) -> None:
    """Routes and headers."""
    for number, path in enumerate(("/v1/model", "/", "/metrics", "/readyz", "/openapi.json", "/sw.js", "/v1/predict")):
        headers = [
            _HOST, ["origin", "http://localhost:8000"], ["authorization", "Bearer secret"], ["x-api-key", "secret"],
            ["accept-encoding", "gzip"], ["if-none-match", '"a"'], ["range", "bytes=0-9"],
            ["if-modified-since", "Sat, 01 Jan 2022 00:00:00 GMT"], ["content-length", "0"],
        ]  # fmt: skip
        key = "secret" if number % 2 else None
        told = {"method": "GET", "path": path, "query": "a=b", "headers": headers, "key": key}
        _written(folder, number, told)


def streams(folder: Path) -> None:
    """With a key, and without."""
    picture = {"base64": base64.b64encode(_picture()).decode()}
    told = {"path": "/v1/stream", "query": "score=0.5&masks=polygons", "headers": [_HOST]}
    _written(folder, 0, {**told, "messages": [picture, picture]})
    _written(folder, 1, {**told, "key": "secret", "messages": [json.dumps({"key": "secret"}), picture]})


WRITERS: dict[str, Callable[[Path], None]] = {
    "form": forms, "JSON": bodies, "address and headers": addresses, "stream": streams,
}  # fmt: skip
"""Kind of request -> writes whole ones."""
