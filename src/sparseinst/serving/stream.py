"""Frames of a camera over a WebSocket: each is answered, or told to be dropped because a newer one came."""

import asyncio
import logging
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from sparseinst.errors import InputError
from sparseinst.parsing import parse_json
from sparseinst.serving.auth import has_key, is_key
from sparseinst.serving.errors import ApiError
from sparseinst.serving.service import Options, Service

_LOGGER = logging.getLogger(__name__)
_KEY_WITHIN_S = 10
_REFUSED, _UNSUPPORTED = 1008, 1003


async def answer_frames(socket: WebSocket, service: Service, options: Options) -> None:
    """Serves one connection to its end."""
    await socket.accept()
    try:
        if not await _may_enter(socket, service):
            await socket.close(_REFUSED, 'expected the API key as first message: {"key": "..."}')
            return
        await _Frames(socket, service, options).run()
    except* WebSocketDisconnect:
        pass  # the end of every stream


async def _may_enter(socket: WebSocket, service: Service) -> bool:
    """Whether the client shows the key: in a header, or in its first message, which is {"key": "..."}."""
    if has_key(socket.headers, service.settings):
        return True
    try:
        async with asyncio.timeout(_KEY_WITHIN_S):
            return is_key(_key_in(await socket.receive_text()), service.settings)
    except (TimeoutError, KeyError):  # nothing came, or no text
        return False


def _key_in(text: str) -> str:
    try:
        content = parse_json(text, source="the key")
    except InputError:
        return ""
    return str(content.get("key", "")) if isinstance(content, dict) else ""


class _Frames:
    """The frames of one client: one is being answered, the newest waits."""

    def __init__(self, socket: WebSocket, service: Service, options: Options) -> None:
        self._socket, self._service, self._options = socket, service, options
        self._next: tuple[int, bytes] | None = None
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Answers until the client goes away."""
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(self._answer_all())
            try:
                await self._receive_all()
            finally:
                answering.cancel()

    async def _receive_all(self) -> None:
        number = 0
        while (message := await self._socket.receive())["type"] == "websocket.receive":
            frame = message.get("bytes")
            if frame is None:
                if _key_in(message.get("text") or ""):
                    continue  # a key that nobody asked for
                await self._socket.close(_UNSUPPORTED, "expected binary messages, one encoded image each")
                return
            if self._next is not None:
                self._service.metrics.dropped.inc()
                await self._send({"frame": self._next[0], "dropped": True})
            self._next = (number, frame)
            self._arrived.set()
            number += 1

    async def _answer_all(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            if self._next is None:
                continue
            (number, frame), self._next = self._next, None
            await self._send({"frame": number, **await self._answer(frame)})

    async def _answer(self, frame: bytes) -> dict[str, Any]:
        try:
            with self._service.places.hold(1):
                return await self._service.predict([frame], self._options)
        except ApiError as error:
            return error.content
        except Exception:  # of this frame; the stream goes on
            _LOGGER.exception("a frame cannot be answered")
            return ApiError(500, "internal", "the service failed, which its log explains").content

    async def _send(self, content: dict[str, Any]) -> None:
        await self._socket.send_text(await self._service.dump(content))
