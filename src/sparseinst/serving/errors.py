"""What a client did wrong, or the service cannot do now, as an HTTP status and one JSON form."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from sparseinst.errors import brief, listed, plain


class ApiError(Exception):
    """A request that is refused, told to the client as {"error": {"code": ..., "message": ...}}.

    Args:
        status: HTTP status.
        code: one word for programs.
        message: for people: what was expected, what came, and what to do.
        retry_after_s: whole seconds after which to try again, if that may help.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after_s: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, plain(message)
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)

    @property
    def content(self) -> dict[str, Any]:
        """The JSON told to the client."""
        return {"error": {"code": self.code, "message": self.message}}

    def response(self) -> JSONResponse:
        """The answer to the request."""
        return JSONResponse(self.content, self.status, self.headers)


def install_handlers(app: FastAPI) -> None:
    """Gives every error of an app the one form; a defect of the service is told without its details, and logged."""
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _defect)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return error.response()


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return invalid(error.errors()).response()


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code, message = "refused", str(error.detail)
    if error.status_code == 404:
        code, message = (
            "not_found",
            f"expected a page or route that there is, got {brief(request.url.path, most=200)}: see /openapi.json",
        )
    elif error.status_code == 405:
        code = "method_not_allowed"
        message = f"expected another method than {brief(request.method, most=20)}: see /openapi.json"
    return ApiError(error.status_code, code, message, headers=dict(error.headers or {})).response()


async def _defect(_: Request, error: Exception) -> JSONResponse:
    message = "the service failed, which its log explains: try again, and tell who runs it if that does not help"
    return ApiError(500, "internal", message).response()


def invalid(errors: Any) -> ApiError:
    """What pydantic says of options that do not fit, as an error of the client."""
    parts = [f"{brief('.'.join(map(str, error['loc'])) or 'request')}: {error['msg']}" for error in errors]
    return ApiError(422, "invalid", f"{listed(parts, between='; ')}: see /openapi.json")
