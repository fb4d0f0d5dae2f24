"""Images of several requests meet in batches: one thread runs the network, everything else is on the event loop."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from sparseinst.serving.errors import ApiError

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")

_MEMORY = 0.9
"""Share of the past in the running mean of the time an item takes."""


class Done(NamedTuple, Generic[Result]):
    """What became of an item, and how long that took."""

    result: Result
    queue_s: float
    network_s: float


@dataclass(eq=False)
class _Waiting(Generic[Key, Item, Result]):
    key: Key
    item: Item
    future: asyncio.Future[Done[Result]]
    since: float = field(default_factory=time.perf_counter)


class Batcher(Generic[Key, Item, Result]):
    """Brings items of one key together and runs them at once.

    The oldest item is always next, with those of its key that have come by then. A batch starts when it is full, or
    when its oldest item has waited for `max_wait_s`; while one runs, the next gathers.

    Args:
        run: takes a key and its items (in the order they came), gives a result for each; called in one thread of its
            own.
        max_batch: items at once.
        max_wait_s: longest wait for others, in seconds, while nothing runs.
        on_batch: told the size of each batch.
        probe: called in the thread after a batch has failed; it raises where no batch can succeed any more.
        on_death: told why no batch will run any more; those who wait are told, too.
    """

    def __init__(
        self,
        run: Callable[[Key, Sequence[Item]], Sequence[Result]],
        *,
        max_batch: int,
        max_wait_s: float,
        on_batch: Callable[[int], object] = lambda _: None,
        probe: Callable[[], object] = lambda: None,
        on_death: Callable[[BaseException], object] = lambda _: None,
    ) -> None:
        self._run, self._max_batch, self._max_wait_s, self._on_batch = run, max_batch, max_wait_s, on_batch
        self._probe, self._on_death = probe, on_death
        self._dead = False
        self._waiting: list[_Waiting[Key, Item, Result]] = []
        self._running: list[_Waiting[Key, Item, Result]] = []
        self._changed = asyncio.Event()
        self.seconds_per_item = 0.0

    @property
    def waiting(self) -> int:
        """Items that no batch has taken yet."""
        return len(self._waiting)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs batches within its block; at its end, what is there is finished first."""
        with ThreadPoolExecutor(1, thread_name_prefix="network") as thread:
            work = asyncio.create_task(self._supervised(thread))
            try:
                yield
                while open_futures := [item.future for item in (*self._waiting, *self._running)]:
                    await asyncio.wait(open_futures)
                    await asyncio.sleep(0)  # those who waited take their items out first
            finally:
                work.cancel()

    async def submit(self, key: Key, item: Item) -> Done[Result]:
        """The result of an item; a caller that is cancelled takes its item out.

        Raises:
            Exception: what `run` raised for its batch.
            ApiError: 503, no batch will run any more.
        """
        if self._dead:
            raise _dead()
        waiting = _Waiting(key, item, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._changed.set()
        try:
            return await waiting.future
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    async def _supervised(self, thread: ThreadPoolExecutor) -> None:
        """Works; whatever ends that is told, for nobody would get an answer any more, nor learn why."""
        try:
            await self._work(thread)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  what a thread raises to end its process counts, too
            self._dead = True
            for waiting in (*self._running, *self._waiting):
                if not waiting.future.done():
                    waiting.future.set_exception(_dead())
            self._on_death(error)

    async def _work(self, thread: ThreadPoolExecutor) -> None:
        while True:
            self._running = batch = await self._next_batch()
            self._on_batch(len(batch))
            begun = time.perf_counter()
            outcomes = await asyncio.get_running_loop().run_in_executor(thread, self._outcomes, batch)
            spent = time.perf_counter() - begun
            self._remember(spent / len(batch))
            self._running = []
            for waiting, outcome in zip(batch, outcomes, strict=True):
                if waiting.future.done():  # nobody waits for it any more
                    continue
                if isinstance(outcome, BaseException):
                    waiting.future.set_exception(outcome)
                else:
                    waiting.future.set_result(Done(outcome, begun - waiting.since, spent))

    def _outcomes(self, batch: list[_Waiting[Key, Item, Result]]) -> Sequence[Result | Exception]:
        """What became of each item; an error of the batch is told to all of them."""
        try:
            results = self._run(batch[0].key, [waiting.item for waiting in batch])
            if len(results) != len(batch):
                raise ValueError(f"expected {len(batch)} results, got {len(results)}")
        except Exception as error:  # noqa: BLE001  whatever it is belongs to those who asked
            self._probe()
            return [error] * len(batch)
        return results

    async def _next_batch(self) -> list[_Waiting[Key, Item, Result]]:
        while True:
            self._changed.clear()
            batch = [waiting for waiting in self._waiting if waiting.key == self._waiting[0].key][: self._max_batch]
            left = batch[0].since + self._max_wait_s - time.perf_counter() if batch else math.inf
            if batch and (len(batch) == self._max_batch or left <= 0):
                self._waiting = [waiting for waiting in self._waiting if waiting not in batch]
                return batch
            try:
                async with asyncio.timeout(left if batch else None):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _remember(self, seconds: float) -> None:
        past = self.seconds_per_item or seconds
        self.seconds_per_item = _MEMORY * past + (1 - _MEMORY) * seconds


def _dead() -> ApiError:
    return ApiError(503, "failed", "expected a network that works, got one that has failed: its log says why")


class Places:
    """How many images may be in the service at once, from when they are all here until they are answered.

    Args:
        limit: so many, ...
        patience_s: ... and no more than will be done in this time, in seconds: who is let in shall get an answer.
        seconds_per_item: tells how long one takes at present.
        on_change: told how many there are, each time.
    """

    def __init__(
        self,
        limit: int,
        *,
        patience_s: float,
        seconds_per_item: Callable[[], float],
        on_change: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.limit, self.taken = limit, 0
        self._patience_s, self._seconds_per_item, self._on_change = patience_s, seconds_per_item, on_change

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """So many places until the end of the block.

        Raises:
            ApiError: 503, there are not so many.
        """
        self.check(count)
        self._change(count)
        try:
            yield
        finally:
            self._change(-count)

    def check(self, count: int = 1) -> None:
        """Refuses what there is no room for; takes none.

        Raises:
            ApiError: 503, there are not so many.
        """
        wait_s = self.taken * self._seconds_per_item()
        if self.taken + count > self.limit or wait_s > self._patience_s:
            raise ApiError(
                503,
                "busy",
                f"expected room for {count} more images, got {self.taken} that are not done, which takes about "
                f"{wait_s:.1f} s: try again later",
                retry_after_s=max(1, math.ceil(wait_s / 2)),
            )

    def _change(self, count: int) -> None:
        self.taken += count
        self._on_change(self.taken)
