"""A line for each request: who, what, how long, how much; never a key, nor what stands behind the path."""

import json
import logging
import time
import uuid
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "X-Request-ID"
"""Header of each answer that names its line in the log."""
LOGGER = logging.getLogger("sparseinst.access")
Form = Literal["text", "json", "none"]


class AccessLog:
    """Middleware that logs each request, and each stream at its end, under an id that its answer carries, too.

    Args:
        app: what answers.
        form: of a line.
    """

    def __init__(self, app: ASGIApp, form: Form) -> None:
        self._app, self._form = app, form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        name, begun, status = uuid.uuid4().hex[:16], time.perf_counter(), 0
        sizes = {"received": 0, "sent": 0}

        async def received() -> Message:
            message = await receive()
            sizes["received"] += _size(message)
            return message

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.accept"):
                status = message.get("status", 101)
                MutableHeaders(raw=message.setdefault("headers", []))[REQUEST_ID] = name
            sizes["sent"] += _size(message)
            await send(message)

        try:
            await self._app(scope, received, sent)
        finally:
            if self._form != "none":
                client = scope.get("client") or ("-", 0)
                self._log({
                    "time": datetime.now(UTC).isoformat(timespec="milliseconds"), "id": name, "client": client[0],
                    "method": scope.get("method", "WS")[:20], "path": quote(scope["path"][:200]), "status": status,
                    "ms": round((time.perf_counter() - begun) * 1000, 1), **sizes,
                })  # fmt: skip

    def _log(self, facts: dict[str, Any]) -> None:
        if self._form == "json":
            LOGGER.info(json.dumps(facts))
        else:
            LOGGER.info(
                "{time} {id} {client} {method} {path} {status} {ms} ms, {received} bytes in, {sent} out".format(**facts)
            )


def start_log(form: Form) -> None:
    """Sends the lines of this process to the standard error stream."""
    if form != "none" and not LOGGER.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        LOGGER.addHandler(handler)
        LOGGER.setLevel(logging.INFO)
        LOGGER.propagate = False


def _size(message: Message) -> int:
    content = message.get("body") or message.get("bytes") or message.get("text") or b""
    return len(content)
