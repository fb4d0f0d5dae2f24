"""Stages that run at once, each in a thread of its own, with bounded queues between them."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

Stage = Callable[[Iterator[Any]], Generator[Any]]
"""From the items of the stage before to its own: a generator, closed in the thread it runs in."""

_DEPTH = 2
"""Items that may wait between two stages."""


class Channel(Generic[T]):
    """A bounded queue between two threads, which either of them can end.

    Args:
        depth: items that may wait.
        newest: where no more may wait, the oldest gives way to the new one, so that whoever fills it never waits.

    Attributes:
        dropped: items that gave way.
    """

    def __init__(self, depth: int, *, newest: bool = False) -> None:
        self._depth, self._newest = depth, newest
        self._items: deque[T] = deque()
        self._error: BaseException | None = None
        self._ended = self._closed = False
        self._changed = Condition()
        self.dropped = 0

    def put(self, item: T) -> bool:
        """Adds an item once there is room; False if nobody will take it."""
        with self._changed:
            if self._newest and len(self._items) == self._depth:
                self._items.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._depth)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def end(self, error: BaseException | None = None) -> None:
        """No more items: what waits is still given out, then the error is raised there."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody takes items any more: what waits is let go, and whoever fills or asks is told."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Whether an item is there, or comes within this time."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._ended or bool(self._items), seconds)
            return bool(self._items)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._ended or bool(self._items))
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
            if error is not None and not self._closed:
                raise error
            raise StopIteration


def is_soon(items: Iterator[Any], seconds: float) -> bool:
    """Whether the stage before has an item, or will have within this time; of anything but a stage it is not known, and
    yes.
    """
    return not isinstance(items, Channel) or items.wait(seconds)


class Stages(Generic[T]):
    """Items through stages: in order, none lost, at most a few of them waiting between two stages.

    A stage that is slower than those before it makes them wait. What a stage raises is raised once, where the results
    are asked for, after what the stages had made by then; all other stages are stopped. Leaving the context
    stops all of them after the item that each is at, and waits for that.

    Args:
        items: what goes in; gone through in a thread of its own.
        stages: what becomes of it, first to last.
        newest: instead of being made to wait, `items` drop those that wait when the next one comes.

    Example:
        >>> with Stages(range(5), lambda numbers: (n * n for n in numbers)) as squares:
        ...     list(squares)
        [0, 1, 4, 9, 16]
    """

    def __init__(self, items: Iterable[Any], *stages: Stage, newest: bool = False) -> None:
        first: Channel[Any] = Channel(1 if newest else _DEPTH, newest=newest)
        self._channels = [first, *(Channel[Any](_DEPTH) for _ in stages)]
        self._threads = [Thread(target=_fill, args=(first, items, None), daemon=True)]
        for stage, before, after in zip(stages, self._channels, self._channels[1:], strict=False):
            self._threads.append(Thread(target=_fill, args=(after, before, stage), daemon=True))

    @property
    def dropped(self) -> int:
        """Items that gave way to newer ones so far."""
        return self._channels[0].dropped

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels:
            channel.close()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        item: T = next(self._channels[-1])
        return item


def _each(items: Iterable[T]) -> Generator[T]:
    """The items, by what can be closed."""
    yield from items


def _fill(after: Channel[Any], before: Iterable[Any], stage: Stage | None) -> None:
    """The work of a thread: one stage, until it ends, fails, or nobody wants more."""
    try:
        made = _each(before) if stage is None else stage(iter(before))
        with closing(made):
            for item in made:
                if not after.put(item):
                    break
    except BaseException as error:  # noqa: BLE001  raised again where the results are asked for
        after.end(error)
    else:
        after.end()
    finally:
        if isinstance(before, Channel):
            before.close()
