"""Objects that become two: which do, what names them, and how it is drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference.standins import ColorBackend
from moving import SIZE_HW, disc, instances, sequence
from sparseinst import InputError, Instances
from sparseinst.video.association import Outline
from sparseinst.video.bonds import Bonds
from sparseinst.video.ctc import write_ctc
from sparseinst.video.follow import track as follow
from sparseinst.video.outcome import VideoResult
from sparseinst.video.prediction import predict_video
from sparseinst.video.tracking import ALGORITHMS, Tracker

BEFORE = [disc(120, 80, 20)]
AFTER = [disc(105, 80, 14), disc(135, 80, 14)]


def frame(masks: list[NDArray[np.bool_]], score: float = 0.9, labels: list[int] | None = None) -> Instances:
    return instances(np.array(masks), [score] * len(masks), labels)


def track(frames: list[Instances], divisions: bool = True) -> list[tuple[list[int], list[int]]]:
    """Ids and parents of each frame."""
    tracker = Tracker(divisions=divisions)
    ids = [tracker.update(found) for found in frames]
    return [(row.tolist(), tracker.parents(row).tolist()) for row in ids]


def test_a_track_ends_and_both_daughters_name_it() -> None:
    assert track([frame(BEFORE)] * 3 + [frame(AFTER)] * 3) == [([1], [0])] * 3 + [([2, 3], [1, 1])] * 3


def test_nothing_divides_unless_asked_for() -> None:
    rows = track([frame(BEFORE)] * 3 + [frame(AFTER)] * 3, divisions=False)
    assert all(parents == [0] * len(ids) for ids, parents in rows) and rows[-1][0][0] == 1


@pytest.mark.parametrize(
    "after",
    [
        frame([*BEFORE, disc(150, 80, 12)]),  # she is as she was: the other one came
        frame([disc(105, 80, 14), disc(60, 80, 14)]),  # both on one side
        frame([disc(105, 80, 14), disc(135, 80, 4)]),  # too small
        frame(AFTER, score=0.35),  # too faint to begin anything
        frame(AFTER, labels=[0, 1]),  # of two classes
    ],
)
def test_what_is_no_division(after: Instances) -> None:
    rows = track([frame(BEFORE)] * 3 + [after] * 3)
    assert not any(any(parents) for _, parents in rows)


def test_daughters_divide_again() -> None:
    grandchildren = [disc(95, 80, 10), disc(115, 80, 10), AFTER[1]]
    rows = track([frame(BEFORE)] * 2 + [frame(AFTER)] * 3 + [frame(grandchildren)])
    assert rows[-1] == ([4, 5, 3], [2, 2, 1])


@settings(max_examples=30)
@given(angle=st.floats(0, 2 * np.pi), radius=st.floats(12, 24), apart=st.floats(0.75, 1.1), turned=st.booleans())
def test_in_any_direction_size_and_order(angle: float, radius: float, apart: float, turned: bool) -> None:
    way = apart * radius * np.array([np.cos(angle), np.sin(angle)])
    daughters = [disc(*(np.array([120, 80]) + side * way), radius / np.sqrt(2)) for side in (-1, 1)]
    rows = track([frame([disc(120, 80, radius)])] * 2 + [frame(daughters[::-1] if turned else daughters)])
    assert rows[-1] == ([2, 3], [1, 1])


@pytest.mark.parametrize("noise", [False, True])
def test_crossing_discs_do_not_divide(noise: bool) -> None:
    for seed in range(3):
        assert not any(any(parents) for _, parents in track([m.found for m in sequence(seed=seed, noise=noise)]))


def test_only_masks_divide() -> None:
    for algorithm in ALGORITHMS[1:]:
        with pytest.raises(InputError, match="divisions"):
            Tracker(algorithm=algorithm, divisions=True)


def test_annotated_divisions_of_simulated_cells(shared: Path) -> None:
    folder = shared / "data" / "ctc" / "Fluo-N2DH-SIM+" / "01_GT" / "TRA"
    tracks = np.loadtxt(folder / "man_track.txt", int)
    tracker, names, last = Tracker(divisions=True), {}, 25
    for number in range(last + 1):
        labels = tifffile.imread(folder / f"man_track{number:03d}.tif")
        cells = np.unique(labels[labels > 0]).astype(int)
        masks = labels == cells[:, None, None]
        ids = tracker.update(instances(masks, [1] * len(cells)))
        names.update({(number, int(cell)): int(track) for cell, track in zip(cells, ids, strict=True)})
    pairs = [tracks[tracks[:, 3] == mother] for mother in np.unique(tracks[tracks[:, 3] > 0, 3])]
    true = {tuple(pair[:, 0].tolist()): pair[0, 1] for pair in pairs if len(pair) == 2 and pair[0, 1] <= last}
    daughters = np.array([[names[start, cell] for cell in pair] for pair, start in true.items()])
    parents = tracker.parents(daughters.ravel()).reshape(-1, 2)
    found = int(((parents[:, 0] == parents[:, 1]) & (parents[:, 0] > 0)).sum())
    all_ids = np.unique(list(names.values()))
    claimed = len(np.unique(tracker.parents(all_ids))) - 1
    assert found >= 0.8 * len(true) and claimed == found, (found, claimed, len(true))


def test_tracks_are_read_by_another_program_as_they_are(tmp_path: Path) -> None:
    evaluate = pytest.importorskip("ctc_metrics.scripts.evaluate", reason="py-ctcmetrics is not installed")
    gone, far = disc(40, 40, 12), disc(200, 120, 12)
    frames = [frame([*BEFORE, gone])] * 3 + [frame([*AFTER, far])] * 2 + [frame([*AFTER, gone, far])] * 2
    truth = [[1, 2]] * 3 + [[3, 4, 5]] * 2 + [[3, 4, 6, 5]] * 2
    folder = tmp_path / "01_GT" / "TRA"
    folder.mkdir(parents=True)
    (folder / "man_track.txt").write_text("1 0 2 0\n2 0 2 0\n3 3 6 1\n4 3 6 1\n5 4 6 0\n6 5 6 2\n")
    tracker = Tracker(divisions=True)
    with write_ctc(tmp_path / "tracks") as file:
        for index, (found, numbers) in enumerate(zip(frames, truth, strict=True)):
            shown = (found.masks * np.array(numbers)[:, None, None]).max(0).astype(np.uint16)
            if index == 3:
                shown[shown == 5] = 0  # a new object is known by its second frame
            tifffile.imwrite(folder / f"man_track{index:03d}.tif", shown)
            ids = tracker.update(found)
            file.add(index, found, ids, tracker.parents(ids))
    wanted = ["Valid", "DET", "TRA", "LNK", "CT", "TF", "BC"]
    scores = evaluate.evaluate_sequence(str(tmp_path / "tracks"), str(tmp_path / "01_GT"), list(wanted), threads=1)
    assert [scores[name] for name in (*wanted[:-1], "BC(0)")] == pytest.approx([1] * 7)


def test_a_mother_that_was_out_of_sight_or_hidden(tmp_path: Path) -> None:
    found = frame(BEFORE)
    with write_ctc(tmp_path / "tracks") as file:
        file.add(0, found, np.array([1]), np.array([0]))
        file.add(2, found, np.array([1]), np.array([0]))
        file.add(3, frame(AFTER), np.array([2, 3]), np.array([1, 9]))  # 9 never had a pixel
    assert (tmp_path / "tracks" / "res_track.txt").read_text() == "1 0 0 0\n2 3 3 60000\n3 3 3 0\n60000 2 2 1\n"


def test_a_bond_joins_the_daughters_for_a_while() -> None:
    picture, bonds = np.full((*SIZE_HW, 3), 90, np.uint8), Bonds(length=2)
    drawn = []
    for found, parents in [(BEFORE, [0]), (AFTER, [1, 1]), (AFTER, [1, 1]), (AFTER, [1, 1])]:
        bonds.update(frame(found), np.array(parents))
        drawn.append((bonds.draw(picture) != picture).any(2))
    assert [bool(changed.any()) for changed in drawn] == [False, True, True, False]
    rows, columns = drawn[1].nonzero()
    assert 104 <= rows.mean() + 24 <= 106 and columns.min() < 106 and columns.max() > 134
    assert (picture == 90).all()


def test_a_stray_piece_does_not_move_the_middle() -> None:
    whole, torn = disc(120, 80, 9), disc(120, 80, 9)
    torn[75:85, 0:3] = True
    one, other = Outline.of(instances(np.array([whole, torn]), [1, 1]))
    assert np.abs(one.centre - [120.5, 80.5]).max() < 0.01 and np.linalg.norm(one.centre - other.centre) < 2
    (empty,) = Outline.of(instances(np.zeros((1, *SIZE_HW), bool), [1]))
    assert empty.area == 0 and np.isfinite(empty.centre).all()


class Splitting(ColorBackend):
    """One class, whatever the colour."""

    def __call__(self, *inputs):
        candidates = super().__call__(*inputs)
        return candidates._replace(labels=candidates.labels * 0)


def blocks(*boxes: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A dark picture with a red block, and a blue one (x0, y0, x1, y1)."""
    picture = np.full((64, 96, 3), 20, np.uint8)
    for channel, (x0, y0, x1, y1) in zip((0, 2), boxes, strict=False):
        picture[y0:y1, x0:x1] = 0
        picture[y0:y1, x0:x1, channel] = 250
    return picture


def test_every_file_of_a_video_knows_of_it(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV is not installed (extra video)")
    images = [blocks((32, 16, 64, 48))] * 4 + [blocks((24, 16, 44, 48), (52, 16, 72, 48))] * 4
    seen: list[VideoResult] = []
    report = predict_video(
        images, model=Splitting(), divisions=True, save=tmp_path / "o.mp4", save_json=tmp_path / "o.jsonl",
        save_masks=tmp_path / "tracks", on_frame=lambda result, _: seen.append(result),
    )  # fmt: skip
    assert (report.tracks, report.divisions) == (3, 1)
    assert [result.parents.tolist() for result in seen] == [[0]] * 4 + [[1, 1]] * 4
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [[item["parent_id"] for item in line["instances"]] for line in lines] == [[0]] * 4 + [[1, 1]] * 4
    assert (tmp_path / "tracks" / "res_track.txt").read_text() == "1 0 3 0\n2 4 7 1\n3 4 7 1\n"
    gap = seen[4].picture[28:36, 47:49].astype(int)
    assert gap.max() > 150, "a bright line from one to the other"
    assert predict_video(images, model=Splitting(), track="mask").divisions is None
    results = list(follow(images, model=Splitting(), divisions=True))
    assert [result.parents.tolist() for result in results] == [[0]] * 4 + [[1, 1]] * 4
