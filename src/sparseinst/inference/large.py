"""Images larger than memory: read by windows, segmented and brought together one row of tiles after the other."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import PreprocessConfig
from sparseinst.data.large.image import LargeImage, large_size_hw
from sparseinst.data.large.ome_zarr import is_zarr
from sparseinst.errors import InputError
from sparseinst.files import atomic
from sparseinst.inference.fingerprint import of_pipeline
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.row_merging import RowMerger
from sparseinst.inference.tiles import Cut, cut
from sparseinst.masks.grid import Window
from sparseinst.modeling.postprocess import without_small_pieces
from sparseinst.structures import Instances

LARGE_PX = 2**26
"""Pixels (8192 x 8192) above which an image is read by windows, where its format allows it."""

MIDDLE_PX = 2048
"""Side of the part from which the size of the objects of a large image is estimated."""

_LOGGER = logging.getLogger(__name__)
_SETTINGS = "settings.json"

OnRow = Callable[[int, int], None]
"""Is told how many rows of tiles are done, and how many there are."""


def is_large(path: Path, *, by_axes: bool = False) -> bool:
    """Whether a file is to be read by windows: TIFF files of more than `LARGE_PX`, and zarr folders of any size.

    Args:
        path: the file.
        by_axes: files are opened by their axes, which holds a plane in memory: only zarr folders of more pixels count.

    Raises:
        InputError: the file's header is damaged.
    """
    if is_zarr(path) and not by_axes:
        return True
    if not is_zarr(path) and path.suffix.lower() not in (".tif", ".tiff", ".btf"):
        return False
    size_hw = large_size_hw(path)
    return size_hw is not None and size_hw[0] * size_hw[1] > LARGE_PX


def find_in_large(
    pipeline: Pipeline,
    image: LargeImage,
    *,
    preprocess: PreprocessConfig | None = None,
    rows: "Rows | None" = None,
    on_row: OnRow | None = None,
) -> Instances:
    """The instances of an image of any size; what is held follows their number and the width of the image.

    Args:
        pipeline: its tiles are those of images in memory.
        image: to be read by windows.
        preprocess: how it is brought to the network; None is that of the pipeline.
        rows: keeps what was found in each row of tiles, so that a run that died goes on there.
        on_row: is told after each row.

    Raises:
        InputError: the image is damaged, or too large to be seen in one pass and not to be cut.
    """
    tiling, size_hw = pipeline.tiling_of(image.size_hw, preprocess), image.size_hw
    if tiling is None and size_hw[0] * size_hw[1] > LARGE_PX:
        raise InputError(
            f"expected an image of at most {LARGE_PX:,} pixels for one pass, got {size_hw[0]} x {size_hw[1]}: give "
            "tile, the side in pixels of the parts that the network is to see"
        )
    whole = (slice(0, size_hw[0]), slice(0, size_hw[1]))
    windows = (whole,) if tiling is None else tiling.windows(size_hw)
    by_row = [list(row) for _, row in groupby(windows, key=lambda window: window[0].start)]
    merger = RowMerger(size_hw, margin=1 if tiling is None else tiling.margin)
    finished: list[Instances] = []
    for number, row in enumerate(by_row):
        found = None if rows is None else rows.load(number)
        if found is None:
            found = list(pipeline.found(_alone(pipeline, image, row, preprocess), sparing=True))
            if rows is not None:
                rows.save(number, found)
        finished.append(_finished(merger.add(found, row), pipeline))
        if on_row is not None:
            on_row(number + 1, len(by_row))
    finished.append(_finished(merger.finish(), pipeline))
    return pipeline.named(Instances.joined(finished, size_hw))


def middle_of(image: LargeImage) -> NDArray[np.uint8]:
    """The middle of an image, (h, w, 3) uint8 RGB, of at most `MIDDLE_PX` a side."""
    height, width = image.size_hw
    top, left = max(0, (height - MIDDLE_PX) // 2), max(0, (width - MIDDLE_PX) // 2)
    return image.read((slice(top, min(height, top + MIDDLE_PX)), slice(left, min(width, left + MIDDLE_PX))))


def _alone(
    pipeline: Pipeline, image: LargeImage, row: Sequence[Window], preprocess: PreprocessConfig | None
) -> Iterator[Cut]:
    """Tiles as images of their own, each read when its turn comes."""
    return (cut(image.read(window), None, partial(pipeline.prepare, preprocess=preprocess)) for window in row)


def _finished(instances: Instances, pipeline: Pipeline) -> Instances:
    return without_small_pieces(instances, least=pipeline.backend.config.postprocess.least_piece)


class Rows:
    """What was found in the rows of tiles of one image, in a folder that is there until the image is done.

    Args:
        folder: where to keep it.
        path: the image.
        pipeline: what finds.
        preprocess: how the image is brought to the network; None is that of the pipeline.
        at: which part of the file the image is (see `open_large`).
    """

    def __init__(
        self,
        folder: Path,
        path: Path,
        pipeline: Pipeline,
        preprocess: PreprocessConfig | None = None,
        at: Mapping[str, int] | None = None,
    ) -> None:
        self.folder = folder
        of_image = _settings(path, pipeline, preprocess or pipeline.preprocess)
        settings = json.dumps(of_image | {"at": dict(at or {})}, sort_keys=True)
        kept = folder / _SETTINGS
        if kept.is_file() and kept.read_text(encoding="utf-8") != settings:
            _LOGGER.warning(f"{folder}: rows of another image, network or setting: begun again")
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(kept) as temporary:
            temporary.write_text(settings, encoding="utf-8")

    def load(self, row: int) -> list[Instances] | None:
        """The instances of each tile of a row; None if it was not finished."""
        try:
            with np.load(self._file(row), allow_pickle=False) as content:
                held = {name: content[name] for name in content.files}
        except FileNotFoundError:
            return None
        ends = np.cumsum(held["lengths"])
        text = held["counts"].tobytes()
        counts = [text[end - length : end] for end, length in zip(ends.tolist(), held["lengths"].tolist(), strict=True)]
        bounds = np.concatenate([[0], np.cumsum(held["numbers"])]).tolist()
        return [
            Instances(
                held["scores"][first:last], held["labels"][first:last], tuple(counts[first:last]),
                held["slots"][first:last], (int(held["sizes"][tile, 0]), int(held["sizes"][tile, 1])),
                full=bool(held["full"][tile]),
            )
            for tile, (first, last) in enumerate(pairwise(bounds))
        ]  # fmt: skip

    def save(self, row: int, found: Sequence[Instances]) -> None:
        """Keeps the instances of each tile of a row."""
        counts = list(chain.from_iterable(part.rles for part in found))
        with atomic(self._file(row)) as temporary:
            np.savez(
                temporary,
                scores=np.concatenate([part.scores for part in found]),
                labels=np.concatenate([part.labels for part in found]),
                slots=np.concatenate([part.slots for part in found]),
                counts=np.frombuffer(b"".join(counts), np.uint8),
                lengths=np.array([len(item) for item in counts], np.int64),
                numbers=np.array([len(part) for part in found], np.int64),
                sizes=np.array([part.size_hw for part in found], np.int64),
                full=np.array([part.full for part in found]),
            )

    def remove(self) -> None:
        """To be called when the image is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, row: int) -> Path:
        return self.folder / f"row{row:05d}.npz"


def _settings(path: Path, pipeline: Pipeline, preprocess: PreprocessConfig) -> dict[str, Any]:
    """All that what is found depends on."""
    stat = path.stat()
    return of_pipeline(pipeline) | {
        "image": [path.name, stat.st_size, stat.st_mtime_ns],
        "preprocess": preprocess.model_dump(mode="json"),
    }
