"""The service as an ASGI app: its routes, and what every request passes on the way to them."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from sparseinst.serving.access import REQUEST_ID, AccessLog
from sparseinst.serving.auth import Guard
from sparseinst.serving.errors import ApiError, install_handlers
from sparseinst.serving.held_network import OpenNetwork
from sparseinst.serving.limits import LimitBody
from sparseinst.serving.metrics import CONTENT_TYPE, CountRequests
from sparseinst.serving.pages import SafeHeaders, add_page
from sparseinst.serving.requests import Activation, Masks, Measure, PixelUm, Preview, Score, read_request
from sparseinst.serving.schema import ERRORS, PREDICT_BODY, Model, Prediction
from sparseinst.serving.service import Options, Service
from sparseinst.serving.settings import ServeSettings, page_folder
from sparseinst.serving.stream import answer_frames
from sparseinst.version import __version__
from sparseinst.web.model_facts import SAMPLE
from sparseinst.zoo.names import DEMO_IMAGE

_GONE = 499
"""Status, for the metrics, of a request whose client did not wait."""


def create_app(settings: ServeSettings, open_network: OpenNetwork) -> FastAPI:
    """The service.

    Args:
        settings: how a network is served.
        open_network: opens it, once the service runs.
    """
    service = Service(settings, open_network)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="sparseinst", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        description="Finds every object in an image, with its mask.",
    )  # fmt: skip
    install_handlers(app)
    _add_api(app, service)
    _add_states(app, service)
    _add_page(app, service)
    # the last one added is the first to be passed
    app.add_middleware(LimitBody, settings=settings)
    app.add_middleware(Guard, settings=settings)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors, allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key"], expose_headers=["Retry-After", REQUEST_ID],
        )  # fmt: skip
    app.add_middleware(SafeHeaders)
    app.add_middleware(CountRequests, metrics=service.metrics)
    app.add_middleware(AccessLog, form=settings.access_log)
    return app


def _add_api(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict", response_model=Prediction, responses=ERRORS, openapi_extra=PREDICT_BODY, tags=["network"],
        summary="Find the objects in images",
    )  # fmt: skip
    async def predict(
        request: Request,
        score: Score = None,
        masks: Masks = "rle",
        activation: Activation = False,
        preview: Preview = False,
        measure: Measure = False,
        pixel_um: PixelUm = None,
    ) -> Response:
        options = Options(score, masks, activation, preview, measure, pixel_um)
        try:
            service.places.check()
            asked = await read_request(request, options, service.settings)
            with service.places.hold(len(asked.contents)):
                content = await _unless_gone(request, _dumped(service, asked.contents, asked.options))
        except ClientDisconnect:
            return Response(status_code=_GONE)
        return Response(content, media_type="application/json")

    @app.get("/v1/model", response_model=Model, responses={401: ERRORS[401]}, tags=["network"])
    async def model() -> Any:
        """What the network knows, and the limits of a request."""
        return JSONResponse(service.model_facts())

    @app.websocket("/v1/stream")
    async def stream(
        socket: WebSocket, score: Score = None, masks: Masks = "rle", activation: Activation = False
    ) -> None:
        await answer_frames(socket, service, Options(score, masks, activation))


def _add_states(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", response_class=PlainTextResponse, tags=["operation"])
    async def alive() -> str:
        """Whether the process runs."""
        return "ok\n"

    @app.get("/readyz", response_class=PlainTextResponse, responses={503: ERRORS[503]}, tags=["operation"])
    async def ready() -> str:
        """Whether the network is there, and requests are wanted."""
        if service.state != "ready":
            raise ApiError(503, service.state, f"the service is {service.state}: ask again later", retry_after_s=1)
        return "ready\n"

    @app.get("/metrics", response_class=PlainTextResponse, tags=["operation"])
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(service.metrics.exposition(), media_type=CONTENT_TYPE)


def _add_page(app: FastAPI, service: Service) -> None:
    if service.settings.shipped:

        @app.get(f"/{SAMPLE}", include_in_schema=False)
        async def sample() -> Response:
            return FileResponse(DEMO_IMAGE, media_type="image/png", headers={"Cache-Control": "no-cache"})

    add_page(app, page_folder())


async def _dumped(service: Service, contents: list[bytes], options: Options) -> str:
    return await service.dump(await service.predict(contents, options))


async def _unless_gone(request: Request, work: Coroutine[Any, Any, str]) -> str:
    """What the work gives; if the client goes away it is stopped, and ClientDisconnect raised."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return await working
    finally:
        working.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
