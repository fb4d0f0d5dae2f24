"""The page and its files, and the headers that keep it to itself."""

from pathlib import Path, PurePosixPath

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
"""What is served, and as what: a machine's own table of types may be wrong, and a browser then runs no module."""

_POLICY = "; ".join((
    "default-src 'self'",
    "img-src 'self' data: blob:",
    "media-src 'self' blob:",
    "connect-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
))  # fmt: skip

_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


def add_page(app: Starlette, folder: Path) -> None:
    """Serves the files of a flat folder that are of the kinds of which pages are made; / is index.html.

    Browsers ask each time whether theirs is still the newest.
    """
    files = StaticFiles(directory=folder)

    async def file(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        kind = _KINDS.get(PurePosixPath(name).suffix)
        if kind is None:
            raise HTTPException(404)
        response = await files.get_response(name, request.scope)
        response.headers["Content-Type"] = kind
        response.headers["Cache-Control"] = "no-cache"
        return response

    app.add_route("/", file, include_in_schema=False)
    app.add_route("/{name}", file, include_in_schema=False)


class SafeHeaders:
    """Middleware: pages may load nothing from elsewhere, and nothing guesses, frames or keeps what is answered.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, guarded)
