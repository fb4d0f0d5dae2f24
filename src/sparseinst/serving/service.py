"""The network at work: from the bytes of images to answers, whoever asks."""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

from uvicorn.config import STARTUP_FAILURE

from sparseinst.errors import InputError
from sparseinst.inference.description import MaskKind, describe, png_url
from sparseinst.inference.tiles import Cut
from sparseinst.serving import activation_png
from sparseinst.serving.batching import Batcher, Done, Places
from sparseinst.serving.budget import Budget
from sparseinst.serving.decoding import decode, decoding_bytes
from sparseinst.serving.errors import ApiError
from sparseinst.serving.held_network import Found, HeldNetwork, OpenNetwork
from sparseinst.serving.measuring import can_measure, measured
from sparseinst.serving.metrics import Metrics
from sparseinst.serving.settings import ServeSettings
from sparseinst.web.model_facts import model_facts

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")

_PATIENCE = 0.4
"""Share of the time for a request that it may have to wait for others, as far as can be told when it comes."""


_FAREWELL_S = 1.0
"""Between a failure of the network and the end of the process, in seconds: answers under way are sent."""


class Options(NamedTuple):
    """What a client wants to know."""

    score: float | None = None
    masks: MaskKind = "rle"
    activation: bool = False
    preview: bool = False
    measure: bool = False
    pixel_um: float | None = None


class _Key(NamedTuple):
    """What images in one batch have in common."""

    frame_hw: tuple[int, int] | None
    """None for an image in tiles."""
    score: float | None
    activation: bool


class _Prepared(NamedTuple):
    cut: Cut
    preview: str | None
    seconds: float


_Done = Done[Found]


class Service:
    """A network that answers requests.

    Args:
        settings: how.
        open_network: opens the network. For activation maps it is asked once more where what it opened at first has
            none, when they are wanted for the first time: from then on the network is held twice.

    Attributes:
        state: "loading" until the network has been opened and has run once, "ready", then "draining"; "failed" once no
            batch can run any more, whereupon the process ends with an error.
        places: how many images may be here at once.
        metrics: what is counted.
    """

    def __init__(self, settings: ServeSettings, open_network: OpenNetwork) -> None:
        self.settings, self.metrics = settings, Metrics()
        self.state: Literal["loading", "ready", "draining", "failed"] = "loading"
        self.network = HeldNetwork(settings, open_network)
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="images")
        self._batcher = Batcher[_Key, Cut, Found](
            self._segment,
            max_batch=settings.max_batch,
            max_wait_s=settings.max_wait_ms / 1000,
            on_batch=self.metrics.batch.observe,
            probe=self.network.probe,
            on_death=self._fail,
        )
        self._decoding = Budget(int(settings.max_decoded_mb * 1e6))
        self._giving: set[asyncio.Task[None]] = set()
        self.places = Places(
            settings.queue,
            patience_s=settings.timeout_s * _PATIENCE,
            seconds_per_item=lambda: self._batcher.seconds_per_item,
            on_change=self.metrics.places.set,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answers within its block; the network is opened beside, and at the end what runs is finished."""
        loading = asyncio.create_task(self._load())
        try:
            async with self._batcher.running():
                yield
                self._drain()
        finally:
            self._drain()
            loading.cancel()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self.metrics.forget_process()

    def _drain(self) -> None:
        if self.state != "failed":
            self.state = "draining"

    def _fail(self, error: BaseException) -> None:
        """No batch will run any more: who asks is told so for a moment, then the process ends, to be started again."""
        _LOGGER.critical("the network has failed, and the process ends", exc_info=error)
        self.state = "failed"
        asyncio.get_running_loop().call_later(_FAREWELL_S, sys.exit, 1)

    def model_facts(self) -> dict[str, Any]:
        """The answer to `GET /v1/model`."""
        settings, pipeline = self.settings, self.network.pipeline
        otherwise = "sparseinst serve --model FILE"
        told = model_facts(settings.name, pipeline.backend.config, shipped=settings.shipped, otherwise=otherwise)
        limits = {"body_mb": settings.max_body_mb, "pixels": settings.max_pixels, "images": settings.max_images}
        here = {"limits": limits, "api_key": settings.api_key is not None, "measures": can_measure()}
        return {**told, "score": pipeline.score, **here}

    async def predict(self, contents: Sequence[bytes], options: Options) -> dict[str, Any]:
        """The answer to one request; a caller that is cancelled frees what it holds.

        Args:
            contents: image files.
            options: what is wanted.

        Raises:
            ApiError: an image is no good, or takes too long (504).
        """
        begun = time.perf_counter()
        needed = sum(decoding_bytes(content, max_pixels=self.settings.max_pixels) for content in contents)
        if needed > self._decoding.limit:
            text = (
                f"expected images that take at most {self.settings.max_decoded_mb:,.0f} MB to decode, got "
                f"{needed / 1e6:,.0f} MB: send fewer or smaller images at once"
            )
            raise ApiError(413, "image_too_large", text)
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                await self._decoding.take(needed)
                done = await self._answers(contents, options, needed)
        except TimeoutError as error:
            message = f"expected an answer within {self.settings.timeout_s:g} s, got none: send less at once, or later"
            raise ApiError(504, "timeout", message, retry_after_s=2) from error
        # of several images, those of the slowest
        times = {name: max(times[name] for _, times in done) for name in done[0][1]}
        times["total"] = time.perf_counter() - begun
        self.metrics.images.inc(len(done))
        return {
            "model": self.settings.name,
            "images": [image for image, _ in done],
            "milliseconds": {name: round(seconds * 1000, 2) for name, seconds in times.items()},
        }

    async def _answers(
        self, contents: Sequence[bytes], options: Options, needed: int
    ) -> list[tuple[dict[str, Any], dict[str, float]]]:
        """All answers; the memory taken for decoding is given back when no thread decodes for them any more."""
        decoding: list[Future[_Prepared]] = []
        tasks = [asyncio.create_task(self._answer(content, options, decoding)) for content in contents]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            # of a request that has run out of time, those that wait never begin, and one that runs is waited for
            running = [future for future in decoding if not (future.cancel() or future.done())]
            if running:
                giving = asyncio.create_task(self._give_back(running, needed))
                self._giving.add(giving)
                giving.add_done_callback(self._giving.discard)
            else:
                self._decoding.give(needed)

    async def _give_back(self, running: "list[Future[_Prepared]]", needed: int) -> None:
        await asyncio.wait([asyncio.wrap_future(future) for future in running])
        self._decoding.give(needed)

    async def dump(self, content: dict[str, Any]) -> str:
        """JSON, written beside the event loop because answers with pictures are large."""
        return await self._beside(partial(json.dumps, content, ensure_ascii=False, separators=(",", ":")))

    async def _answer(
        self, content: bytes, options: Options, decoding: "list[Future[_Prepared]]"
    ) -> tuple[dict[str, Any], dict[str, float]]:
        if options.activation:
            await self.network.prepare_to_explain(self._beside)
        decoding.append(self._pool.submit(self._prepare, content, preview=options.preview))
        prepared = await asyncio.wrap_future(decoding[-1])
        parts = prepared.cut.parts
        frame_hw = parts[0].frame.frame_hw if isinstance(parts, tuple) else None
        key = _Key(frame_hw, options.score, options.activation)
        done = await self._batcher.submit(key, prepared.cut)
        image = await self._beside(partial(self._told, content, done, prepared, options))
        self.metrics.instances.inc(len(image["instances"]))
        times = {"queue": done.queue_s, "prepare": prepared.seconds, "network": done.network_s}
        for stage, seconds in times.items():
            self.metrics.stage_seconds.labels(stage).observe(seconds)
        return image, times

    def _prepare(self, content: bytes, *, preview: bool) -> _Prepared:
        begun = time.perf_counter()
        pipeline = self.network.pipeline
        pixels = decode(content, pipeline.preprocess.intensity)
        cut = pipeline.cut(pixels)
        return _Prepared(cut, png_url(pixels) if preview else None, time.perf_counter() - begun)

    def _segment(self, key: _Key, cuts: Sequence[Cut]) -> Sequence[Found]:
        """Runs in the network's thread."""
        return self.network.found(cuts, score=key.score, activation=key.activation)

    def _told(self, content: bytes, done: _Done, prepared: _Prepared, options: Options) -> dict[str, Any]:
        instances, maps = done.result
        image = describe(instances, options.masks)
        if maps is not None:
            image["activation"] = activation_png.to_json(maps)
        if options.measure:
            image["measurements"] = measured(content, instances, options.pixel_um)
        if prepared.preview is not None:
            image["preview"] = prepared.preview
        return image

    async def _load(self) -> None:
        try:
            await self._beside(self.network.open)
        except InputError as error:
            _LOGGER.critical("the network cannot be opened: %s", error)
            raise SystemExit(STARTUP_FAILURE) from None
        except Exception:
            _LOGGER.exception("the network cannot be opened")
            raise SystemExit(STARTUP_FAILURE) from None
        self.state = "ready"

    async def _beside(self, work: Callable[[], _T]) -> _T:
        """Runs work of the host in one of its threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
