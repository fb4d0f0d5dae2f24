import numpy as np
import pytest

from moving import SIZE_HW, disc, idf1, instances, sequence
from sparseinst import Instances
from sparseinst.errors import InputError
from sparseinst.video.tracking import ALGORITHMS, Tracker


def track(found: list[Instances], algorithm: str = "mask", **options: int) -> list[list[int]]:
    tracker = Tracker(algorithm=algorithm, **options)
    return [tracker.update(item).tolist() for item in found]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([[1, 2]] * 4, 1.0),
        ([[2, 1]] * 4, 1.0),  # names do not matter
        ([[1, 2], [1, 2], [2, 1], [2, 1]], 0.5),  # swapped half way: half of each is right
        ([[0, 2]] * 4, 2 / 3),  # half is missing: 2 * 4 / (8 + 4)
    ],
)
def test_the_measure_itself(ids: list[list[int]], expected: float) -> None:
    two = instances(np.array([disc(40, 40, 9), disc(120, 90, 9)]), [1, 1])
    moment = sequence(frames=1)[0]._replace(truth=two, truth_ids=np.array([1, 2]), found=two)
    assert idf1([moment] * 4, [np.array(row) for row in ids]) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_crossing_discs_keep_their_ids(seed: int) -> None:
    moments = sequence(seed=seed)
    tracker = Tracker()
    assert idf1(moments, [tracker.update(moment.found) for moment in moments]) >= 0.95


def test_with_misses_false_finds_and_shaking_masks() -> None:
    figures = []
    for seed in range(10):
        moments, tracker = sequence(seed=seed, noise=True), Tracker()
        figures.append(idf1(moments, [tracker.update(moment.found) for moment in moments]))
    assert np.mean(figures) >= 0.93 and min(figures) >= 0.88


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
def test_the_library_s_algorithms(algorithm: str) -> None:
    pytest.importorskip("trackers", reason="trackers is not installed")
    moments = sequence(seed=0)
    tracker = Tracker(algorithm=algorithm)
    ids = [tracker.update(moment.found) for moment in moments]
    assert all(len(numbers) == len(moment.found) for numbers, moment in zip(ids, moments, strict=True))
    assert min(number for numbers in ids for number in numbers if number) == 1
    assert idf1(moments, ids) >= 0.6


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
def test_the_library_begins_tracks_at_the_same_score(algorithm: str) -> None:
    pytest.importorskip("trackers", reason="trackers is not installed")
    assert track([instances(np.array([disc(50, 50, 10)]), [0.45])] * 6, algorithm)[-1] == [1]


def test_a_faint_detection_continues_a_track_and_begins_none() -> None:
    one = np.array([disc(50, 50, 10)])
    assert track([instances(one, [0.9]), instances(one, [0.3])]) == [[1], [1]]
    assert track([instances(one, [0.3])] * 3) == [[0]] * 3


def test_an_object_found_twice_is_one_track() -> None:
    masks = np.array([disc(50, 50, 10), disc(51, 50, 10), disc(150, 80, 10)])
    assert track([instances(masks, [0.8, 0.9, 0.7])] * 3) == [[0, 1, 2]] * 3


def test_a_new_object_is_confirmed_by_its_second_frame() -> None:
    one, two = [disc(50, 50, 10)], [disc(50, 50, 10), disc(150, 80, 10)]
    found = [instances(np.array(masks), [0.9] * len(masks)) for masks in (one, two, one, two, two)]
    assert track(found) == [[1], [1, 0], [1], [1, 0], [1, 2]]


def test_a_lost_object_is_waited_for_where_it_was_going() -> None:
    nothing = Instances.empty(SIZE_HW)
    steps = [instances(np.array([disc(20 + 6 * t, 60, 8)]), [0.9]) for t in range(20)]
    found = [*steps[:6], *[nothing] * 5, *steps[11:]]
    assert {number for row in track(found) for number in row} == {1}
    assert {number for row in track(found, max_lost=3) for number in row} == {0, 1, 2}


def test_what_moves_further_than_it_is_large() -> None:
    jumps = [instances(np.array([disc(20 + 13 * t, 60, 5), disc(200 - 13 * t, 120, 5)]), [0.9] * 2) for t in range(12)]
    assert track(jumps) == [[1, 2]] * 12


def test_classes_do_not_mix_and_order_does_not_matter() -> None:
    masks = np.array([disc(50, 50, 10), disc(52, 50, 10)])
    found = [instances(masks, [0.9, 0.9], [0, 1]), instances(masks[::-1], [0.9, 0.9], [1, 0])]
    assert track(found) == [[1, 2], [2, 1]]


def test_reset_forgets() -> None:
    tracker = Tracker()
    one = instances(np.array([disc(50, 50, 10)]), [0.9])
    assert tracker.update(one).tolist() == [1]
    tracker.reset()
    assert tracker.update(instances(np.array([disc(150, 50, 10)]), [0.9])).tolist() == [1]


def test_wrong_settings() -> None:
    with pytest.raises(InputError, match="mask, bytetrack"):
        Tracker(algorithm="magic")
    with pytest.raises(InputError, match="max_lost"):
        Tracker(max_lost=-1)
