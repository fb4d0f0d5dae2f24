"""How much a request may bring and how slowly, checked while it comes."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparseinst.serving.errors import ApiError
from sparseinst.serving.settings import ServeSettings

_GRACE_S = 5
"""Seconds before a body has to have come at the least rate."""
_BODIES = 8
"""So many of the largest bodies may be on their way at once, or more of smaller ones."""


class LimitBody:
    """Middleware that ends a request whose body is too large or too slow, before all of it has been received.

    Args:
        app: what reads the body.
        settings: largest body, least bytes a second, longest time for all of it.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app, self._settings = app, settings
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, or answers it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "")
        if told.isdecimal() and int(told) > self._settings.max_body_bytes:
            await self._too_large().response()(scope, receive, send)
            return
        body = _Body(receive, self._settings)
        try:
            await self._app(scope, lambda: self._counted(body), send)
        finally:
            self._held -= body.received

    async def _counted(self, body: "_Body") -> Message:
        message, count = await body.next()
        self._held += count
        if body.received > self._settings.max_body_bytes:
            raise self._too_large()
        if self._held > _BODIES * self._settings.max_body_bytes:
            text = "expected fewer large requests at once, which are still being received: try again in a moment"
            raise ApiError(503, "busy", text, retry_after_s=2)
        return message

    def _too_large(self) -> ApiError:
        message = (
            f"expected a request of at most {self._settings.max_body_mb:g} MB, got a larger one: send fewer or smaller "
            "images (the setting is --max-body-mb)"
        )
        return ApiError(413, "body_too_large", message)


class _Body:
    """What has come of one request, and when the rest has to."""

    def __init__(self, receive: Receive, settings: ServeSettings) -> None:
        self._receive, self._settings = receive, settings
        self._begun = asyncio.get_running_loop().time()
        self._complete = False
        self.received = 0

    async def next(self) -> tuple[Message, int]:
        """A message, and how many bytes of the body are in it.

        Raises:
            ApiError: 408, it has not come in time.
        """
        rate, longest_s = self._settings.min_rate_kb * 1000, self._settings.timeout_s
        by = None if self._complete else self._begun + min(_GRACE_S + self.received / rate, longest_s)
        try:
            async with asyncio.timeout_at(by):
                message = await self._receive()
        except TimeoutError as error:
            text = (
                f"expected a request within {longest_s:g} s and at {self._settings.min_rate_kb:g} kB a second or more, "
                f"got {self.received:,} bytes of it: send less at once, or over a faster line"
            )
            raise ApiError(408, "timeout", text, headers={"Connection": "close"}) from error
        count = len(message.get("body", b""))
        self.received += count
        self._complete = not message.get("more_body", False)
        return message, count
