"""How much a request may bring, checked while it comes."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparseinst.serving.errors import ApiError


class LimitBody:
    """Middleware that ends a request whose body is too large, before it has been received.

    Args:
        app: what reads the body.
        most_bytes: largest body.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app, self._most_bytes = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, or answers it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "")
        if told.isdecimal() and int(told) > self._most_bytes:
            await self._too_large().response()(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most_bytes:
                raise self._too_large()
            return message

        await self._app(scope, counted, send)

    def _too_large(self) -> ApiError:
        message = (
            f"expected a request of at most {self._most_bytes / 1e6:g} MB, got a larger one: send fewer or smaller "
            "images (the setting is --max-body-mb)"
        )
        return ApiError(413, "body_too_large", message)
