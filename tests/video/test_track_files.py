import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from moving import SIZE_HW, disc, instances
from sparseinst.errors import InputError
from sparseinst.video.ctc import write_ctc
from sparseinst.video.mot import write_mot

TWO = instances(np.array([disc(50, 50, 10), disc(150, 80, 10)]), [0.9, 0.8])


def test_mot_lines(tmp_path: Path) -> None:
    path = tmp_path / "tracks.txt"
    with write_mot(path) as file:
        file.add(1, TWO, np.array([4, 0]))
        file.add(2, TWO, np.array([4, 2]))
        assert not path.exists()
    rows = [list(map(float, row)) for row in csv.reader(path.read_text().splitlines())]
    assert [row[:2] for row in rows] == [[1, 4], [2, 4], [2, 2]]
    assert rows[0][2:6] == [40, 40, 21, 21] and rows[0][6:] == [pytest.approx(0.9, abs=1e-4), 1, -1]


def test_label_images_hold_track_ids(tmp_path: Path) -> None:
    folder = tmp_path / "tracks"
    with write_ctc(folder) as file:
        for index, ids in enumerate([[300, 7], [300, 0], [300, 7]]):
            file.add(index, TWO, np.array(ids))
    images = [cv2.imread(str(folder / f"mask{k:03d}.tif"), cv2.IMREAD_UNCHANGED) for k in range(3)]
    assert images[0].dtype == np.uint16 and images[0].shape == SIZE_HW
    assert np.array_equal(images[0], 300 * disc(50, 50, 10) + 7 * disc(150, 80, 10))
    assert set(np.unique(images[1])) == {0, 300}
    # a track has pixels in all of its frames: after a gap it is the child of what it was
    assert np.array_equal(images[2], 300 * disc(50, 50, 10) + 60000 * disc(150, 80, 10))
    assert (folder / "res_track.txt").read_text() == "7 0 0 0\n300 0 2 0\n60000 2 2 7\n"


def test_what_is_hidden_has_no_pixel_and_no_frame(tmp_path: Path) -> None:
    one_over_other = instances(np.array([disc(50, 50, 10), disc(50, 50, 4)]), [0.9, 0.8])
    with write_ctc(tmp_path / "tracks") as file:
        file.add(0, one_over_other, np.array([1, 2]))
        file.add(1, one_over_other[[1]], np.array([2]))
    assert (tmp_path / "tracks" / "res_track.txt").read_text() == "1 0 0 0\n2 1 1 0\n"


def test_too_many_tracks_leave_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="60000"), write_ctc(tmp_path / "tracks") as file:
        file.add(0, TWO, np.array([1, 60001]))
    assert list(tmp_path.iterdir()) == []
