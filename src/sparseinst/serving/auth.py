"""Who may use the service: whoever shows its key, and no web page of another site."""

import hmac
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from sparseinst.errors import brief
from sparseinst.serving.errors import ApiError
from sparseinst.serving.settings import ServeSettings

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[\w.-]{1,253})(:\d{1,5})?", re.ASCII)
"""What a Host header may be; addresses with more to them mean one thing to a parser and another to a browser."""
_KEYED = ("/v1/", "/metrics")
_STREAM = "/v1/stream"
_OPEN = frozenset({"/healthz", "/readyz"})


class Guard:
    """Middleware that sends strangers away.

    A page of another site that this machine's browser shows must not use a service that only this machine reaches: its
    requests carry its own Origin, and those by a name of its own that leads here (DNS rebinding) that name as Host.
    The stream shows its key later, because browsers cannot give a WebSocket headers (see `stream`).

    Args:
        app: what lies behind.
        settings: the key, and the sites that may.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, or answers it."""
        error = None if scope["type"] == "lifespan" else self._refusal(scope)
        if error is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": error.code})
        else:
            await error.response()(scope, receive, send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers, path = Headers(scope=scope), scope["path"]
        if path in _OPEN:
            return None
        host = headers.get("host", "")
        if host and not _HOST.fullmatch(host):
            message = f"expected a name or address of this service as Host, got {brief(host)}: correct it"
            return ApiError(400, "wrong_host", message)
        if self._settings.is_local and self._settings.api_key is None and not _is_local_name(host):
            message = (
                f"expected a name of this machine as Host, got {brief(host)}: open http://localhost, or give the "
                "service an API key to use it under other names"
            )
            return ApiError(403, "wrong_host", message)
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(origin, host):
            message = f"expected a page of this service, got one of {brief(origin)}: allow it with --cors"
            return ApiError(403, "wrong_origin", message)
        preflight = scope.get("method") == "OPTIONS"  # carries no key; those who answer it give nothing away
        if path.startswith(_KEYED) and path != _STREAM and not preflight and not has_key(headers, self._settings):
            return unauthorised()
        return None

    def _is_ours(self, origin: str, host: str) -> bool:
        if origin in self._settings.cors:
            return True
        try:
            return urlsplit(origin).netloc.lower() == host.lower() != ""
        except ValueError:
            return False


def has_key(headers: Headers, settings: ServeSettings) -> bool:
    """Whether a request shows the key as `Authorization: Bearer` or `X-API-Key`, or there is none to show."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    shown = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return is_key(shown, settings)


def is_key(shown: str, settings: ServeSettings) -> bool:
    """Whether this is the key, or there is none; compared in a time that does not tell where they differ."""
    if settings.api_key is None:
        return True
    return hmac.compare_digest(shown.encode(errors="replace"), settings.api_key.get_secret_value().encode())


def unauthorised() -> ApiError:
    """What those without the key are told."""
    message = "expected the API key in the header X-API-Key or Authorization: Bearer, got none or another: send it"
    return ApiError(401, "unauthorised", message, headers={"WWW-Authenticate": "Bearer"})


def _is_local_name(host: str) -> bool:
    return urlsplit(f"//{host}").hostname in _LOCAL_NAMES  # its form is known by now
