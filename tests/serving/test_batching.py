import asyncio
import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.apps import run
from sparseinst.serving.batching import Batcher, Places
from sparseinst.serving.errors import ApiError


class Recorder:
    """Squares numbers; an item is (key, number)."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.seconds = seconds
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, key: str, items: Sequence[tuple[str, int]]) -> list[int]:
        assert self.gate.wait(20)
        assert {own for own, _ in items} == {key}
        self.threads.add(threading.get_ident())
        self.batches.append([number for _, number in items])
        time.sleep(self.seconds)
        return [number**2 for _, number in items]


REQUESTS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.none() | st.integers(0, 4)), min_size=1, max_size=30
)
"""Of each request its key, the milliseconds before it comes, and those after which its client goes away."""


@settings(max_examples=25)
@given(REQUESTS, st.integers(1, 5), st.sampled_from([0.0, 0.002]), st.sampled_from([0.0, 0.001]))
def test_nothing_is_lost_or_mixed_up_and_those_who_leave_free_their_place(
    requests: list[tuple[str, int, int | None]], max_batch: int, max_wait_s: float, seconds: float
) -> None:
    recorder = Recorder(seconds)
    results: dict[int, int] = {}

    async def ask(batcher: Batcher[str, tuple[str, int], int], number: int, key: str, leave_ms: int | None) -> None:
        async with asyncio.timeout(None if leave_ms is None else leave_ms / 1000):
            results[number] = (await batcher.submit(key, (key, number))).result

    async def scenario() -> None:
        batcher = Batcher(recorder, max_batch=max_batch, max_wait_s=max_wait_s)
        asked: list[asyncio.Task[None]] = []
        async with batcher.running():
            for number, (key, before_ms, leave_ms) in enumerate(requests):
                await asyncio.sleep(before_ms / 1000)
                asked.append(asyncio.create_task(ask(batcher, number, key, leave_ms)))
            ends = await asyncio.gather(*asked, return_exceptions=True)
        assert batcher.waiting == 0
        for number, ((_, _, leave_ms), end) in enumerate(zip(requests, ends, strict=True)):
            if leave_ms is None:
                assert end is None and results[number] == number**2
            else:
                assert (end is None) == (number in results) and isinstance(end, TimeoutError | None)

    run(scenario())
    assert len(recorder.threads) <= 1
    done = [number for batch in recorder.batches for number in batch]
    assert len(done) == len(set(done)), "an item has run twice"
    assert all(len(batch) <= max_batch for batch in recorder.batches)
    for key in "ab":
        in_order = [number for number in done if requests[number][0] == key]
        assert in_order == sorted(in_order), "items of one key have overtaken each other"


def test_a_full_batch_does_not_wait_and_a_lone_item_no_longer_than_it_may() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        patient = Batcher(recorder, max_batch=3, max_wait_s=30)
        async with patient.running():
            await asyncio.gather(*(patient.submit("a", ("a", n)) for n in range(3)))
        assert recorder.batches == [[0, 1, 2]]
        batcher = Batcher(recorder, max_batch=3, max_wait_s=0.05)
        async with batcher.running():
            done = await batcher.submit("a", ("a", 5))
        assert done.result == 25 and 0.05 <= done.queue_s < 5

    run(scenario())


def test_while_a_batch_runs_the_next_gathers_and_those_who_left_are_not_in_it() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        recorder.gate.clear()
        batcher = Batcher(recorder, max_batch=8, max_wait_s=0)
        async with batcher.running():
            first = asyncio.create_task(batcher.submit("a", ("a", 0)))
            await asyncio.sleep(0.05)
            others = [asyncio.create_task(batcher.submit(key, (key, n))) for n, key in enumerate("aabaa", 1)]
            await asyncio.sleep(0)
            assert batcher.waiting == 5
            others[1].cancel()
            await asyncio.sleep(0)
            assert batcher.waiting == 4
            recorder.gate.set()
            await asyncio.gather(first, *others, return_exceptions=True)
        assert recorder.batches == [[0], [1, 4, 5], [3]]

    run(scenario())


def test_an_error_is_told_to_its_batch_and_the_next_one_runs() -> None:
    def fail_on_bad(key: str, items: Sequence[int]) -> list[int]:
        if key == "bad":
            raise MemoryError("too much")
        return list(items)[: 1 if key == "short" else None]

    async def scenario() -> None:
        batcher = Batcher(fail_on_bad, max_batch=2, max_wait_s=0.01)
        async with batcher.running():
            keys = ("bad", "bad", "good", "short", "short")
            ends = await asyncio.gather(*(batcher.submit(key, 1) for key in keys), return_exceptions=True)
        assert [type(end).__name__ for end in ends] == [
            "MemoryError",
            "MemoryError",
            "Done",
            "ValueError",
            "ValueError",
        ]

    run(scenario())


def test_closing_finishes_what_waits_and_what_runs() -> None:
    async def scenario() -> None:
        recorder = Recorder(0.05)
        batcher = Batcher(recorder, max_batch=1, max_wait_s=0)
        async with batcher.running():
            asked = [asyncio.create_task(batcher.submit("a", ("a", n))) for n in range(3)]
            await asyncio.sleep(0.02)
        assert [task.result().result for task in asked] == [0, 1, 4]

    run(scenario())


def test_places_are_counted_and_given_back() -> None:
    told: list[int] = []
    places = Places(4, patience_s=10, seconds_per_item=lambda: 0.7, on_change=told.append)
    with places.hold(3):
        with places.hold(1), pytest.raises(ApiError) as refused, places.hold(1):
            pytest.fail("a fifth place was given")
        assert refused.value.status == 503
        assert refused.value.headers["Retry-After"] == "2"  # half of what 4 items of 0.7 s take
        with pytest.raises(ApiError, match="room for 2 more"):
            places.check(2)
        assert places.taken == 3
    assert places.taken == 0 and told[-1] == 0 and max(told) == 4


def test_no_more_are_let_in_than_will_be_answered_in_time() -> None:
    seconds = 1.0
    places = Places(100, patience_s=2.5, seconds_per_item=lambda: seconds)
    with places.hold(2), places.hold(1):
        with pytest.raises(ApiError, match=r"takes about 3\.0 s"), places.hold(1):
            pytest.fail("a place was given that would not be reached in time")
        seconds = 0.1  # it has become faster
        with places.hold(1):
            assert places.taken == 4
