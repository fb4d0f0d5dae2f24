"""Stages in threads: order, bounds, errors and ends."""

import threading
import time
from collections.abc import Iterator

import pytest

from ahead import Ahead
from sparseinst.inference.stages import Stages


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def doubled(numbers: Iterator[int]) -> Iterator[int]:
    for number in numbers:
        yield 2 * number


def unsteady(numbers: Iterator[int]) -> Iterator[int]:
    for number in numbers:
        time.sleep(0.003 * (number % 3))
        yield number


def test_in_order_and_none_lost() -> None:
    with Stages(range(60), unsteady, doubled, unsteady) as results:
        assert list(results) == [2 * number for number in range(60)]
        assert results.dropped == 0


def test_no_stages_and_no_items() -> None:
    with Stages(range(3)) as results:
        assert list(results) == [0, 1, 2]
    with Stages((), doubled) as results:
        assert list(results) == []


def test_the_source_waits_for_a_slow_end() -> None:
    taken = []

    def source() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    with Stages(source(), doubled, doubled) as results:
        next(results)
        time.sleep(0.1)
        assert len(taken) <= 12  # two between each of the stages, one in each, one taken


def test_stages_run_at_once() -> None:
    meeting = threading.Barrier(3)

    def waiting_for_the_others(place: int) -> object:
        def stage(numbers: Iterator[int]) -> Iterator[int]:
            for number in numbers:
                if 0 <= number + place - 2 < 18:  # the first stage is two items ahead of the last
                    meeting.wait(20)
                yield number

        return stage

    with Stages(range(20), *(waiting_for_the_others(place) for place in range(3))) as results:
        assert list(results) == list(range(20))


@pytest.mark.parametrize("place", ["source", "first", "last"])
def test_an_error_is_raised_once_after_what_came_before(place: str) -> None:
    def failing(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            if number == 5:
                raise OSError("five")
            yield number

    source = failing(iter(range(100))) if place == "source" else range(100)
    stages = {"source": [unsteady], "first": [failing, unsteady], "last": [unsteady, failing]}[place]
    got = []
    with Stages(source, *stages) as results:
        with pytest.raises(OSError, match="five"):
            for number in results:
                got.append(number)
        assert list(results) == []
    assert got == [0, 1, 2, 3, 4]


def test_leaving_early_closes_every_stage() -> None:
    closed = []

    def noted(name: str) -> object:
        def stage(numbers: Iterator[int]) -> Iterator[int]:
            try:
                yield from numbers
            finally:
                closed.append(name)

        return stage

    with Stages(noted("source")(iter(range(10**9))), noted("a"), noted("b")) as results:
        assert next(results) == 0
    assert sorted(closed) == ["a", "b", "source"]


def test_an_error_of_whoever_asks_stops_all() -> None:
    with pytest.raises(KeyError), Stages(iter(int, 1), doubled) as results:
        for _ in results:
            raise KeyError


def test_the_newest_takes_the_place_of_what_waits() -> None:
    ahead = Ahead(100)
    with Stages(ahead.source(range(100)), ahead.followed_by(20), newest=True) as results:
        got = list(results)
        assert got == sorted(set(got)), "in order"
        assert got[-1] == 99, "the last one waits for nobody newer"
        assert len(got) <= 7
        assert len(got) + results.dropped == 100
