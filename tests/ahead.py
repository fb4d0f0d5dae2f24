"""Sources that get ahead of whoever follows them: what is slower than another is so by order, not by a clock."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from torch import Tensor

from inference.standins import ColorBackend
from sparseinst.predictions import Candidates

T = TypeVar("T")


class Ahead:
    """Counts the items that a source has given, and lets others wait until these are so many.

    Args:
        total: items that the source has.
    """

    def __init__(self, total: int) -> None:
        self.total, self.given = total, 0
        self.changed = threading.Condition()

    def source(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            with self.changed:
                self.given += 1
                self.changed.notify_all()
            yield item

    def wait_for(self, count: int) -> None:
        """Returns once so many items, or all, were given."""
        with self.changed:
            came = self.changed.wait_for(lambda: self.given >= min(count, self.total), timeout=20)
        assert came, "the source waits for those behind it"

    def followed_by(self, lead: int) -> Callable[[Iterator[int]], Iterator[int]]:
        """A stage that keeps each of the numbers 0, 1, ... until the source is so many further."""

        def stage(numbers: Iterator[int]) -> Iterator[int]:
            for number in numbers:
                self.wait_for(number + 1 + lead)
                yield number

        return stage


class Behind(ColorBackend):
    """Takes as long for each image as the source for ten."""

    def __init__(self, ahead: Ahead) -> None:
        super().__init__()
        self.ahead = ahead

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        self.ahead.wait_for(10 * (len(self.calls) + 1))
        return super().__call__(images, resized_hw)
