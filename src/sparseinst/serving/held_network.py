"""The network that a service holds: opened beside it, tried, and opened once more for activation maps."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from sparseinst.activation import ActivationMaps
from sparseinst.config.preprocess import NativeConfig
from sparseinst.data.geometry import EXAMPLE_PX
from sparseinst.inference.options import colours_only
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.tiles import Cut
from sparseinst.runtime.backends import Backend
from sparseinst.serving.errors import ApiError
from sparseinst.serving.settings import ServeSettings
from sparseinst.structures import Instances

Found = tuple[Instances, ActivationMaps | None]
"""Instances of an image, with their maps if those were asked for."""


class OpenNetwork(Protocol):
    """Opens what runs the network; it can be sent to another process."""

    def __call__(self, *, activation: bool = False) -> Backend:
        """The network; with `activation` one that gives activation maps, if that can be had."""


class HeldNetwork:
    """The network of a service, held twice once activation maps were wanted of one that has none.

    Args:
        settings: how it is opened and asked.
        open_network: opens it; for activation maps it is asked once more where what it opened at first has none.
    """

    def __init__(self, settings: ServeSettings, open_network: OpenNetwork) -> None:
        self._settings, self._open_network = settings, open_network
        self._pipeline: Pipeline | None = None
        self._explaining: Pipeline | None = None
        self._opening = asyncio.Lock()

    def open(self) -> None:
        """Opens it and runs it once, for the first run takes longer.

        Raises:
            InputError: it cannot be opened, or is no network of colours.
        """
        pipeline = self._opened(activation=False)
        _run_once(pipeline)
        self._pipeline = pipeline

    @property
    def pipeline(self) -> Pipeline:
        """The network.

        Raises:
            ApiError: 503, it is not there yet.
        """
        if self._pipeline is None:
            message = "expected the network, which is still being opened: try again in a moment"
            raise ApiError(503, "loading", message, retry_after_s=2)
        return self._pipeline

    def probe(self) -> None:
        """Runs it once, on a black image."""
        _run_once(self.pipeline)

    async def prepare_to_explain(self, beside: Callable[[Callable[[], Pipeline]], Awaitable[Pipeline]]) -> None:
        """Makes sure that there is a network that gives activation maps.

        Args:
            beside: runs work of the host in another thread.

        Raises:
            ApiError: 400, there is none.
        """
        pipeline = self.pipeline
        async with self._opening:
            if self._explaining is None:
                opened = pipeline if pipeline.explains else await beside(partial(self._opened, activation=True))
                self._explaining = opened
        if not self._explaining.explains:
            message = "expected a network with activation maps, got one exported without: leave activation out"
            raise ApiError(400, "no_activation", message)

    def found(self, cuts: Sequence[Cut], *, score: float | None, activation: bool) -> Sequence[Found]:
        """What it finds in some images; maps can be had once it is prepared to explain."""
        if not activation:
            return [(instances, None) for instances in self.pipeline.found(cuts, score=score)]
        assert self._explaining is not None
        return list(self._explaining.explained(cuts, score=score))

    def _opened(self, *, activation: bool) -> Pipeline:
        settings, network = self._settings, self._open_network(activation=activation)
        colours_only(network.config, "the service and its page")
        return Pipeline(
            network, batch=settings.max_batch, score=settings.score,
            tile=settings.tile, overlap=settings.overlap, scale=settings.scale, diameter=settings.diameter,
            max_instances=settings.max_instances,
        )  # fmt: skip


def _run_once(pipeline: Pipeline) -> None:
    preprocess = pipeline.preprocess
    side = EXAMPLE_PX if isinstance(preprocess, NativeConfig) else preprocess.short_px
    next(pipeline.found([pipeline.cut(np.zeros((side, side, 3), np.uint8))]))
