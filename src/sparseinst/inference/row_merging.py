"""The instances of a very large image, brought together one row of tiles after the other.

The same rules as `merging.merge`, first among the tiles of a row, then between neighbouring rows: only objects that
reach into what two rows share wait for the next one. What is held is that of two rows, whatever the image.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sparseinst.inference.merging import TILE_SLOTS, merge
from sparseinst.masks.grid import Window
from sparseinst.masks.runs import decode_runs
from sparseinst.masks.strips import encode_unions, strips_of
from sparseinst.structures import Instances


class RowMerger:
    """Takes rows of tiles from top to bottom, gives objects that are finished.

    Args:
        size_hw: height and width of the image.
        margin: pixels around an object that a tile shows, if it is to be believed more than one that shows less.
    """

    def __init__(self, size_hw: tuple[int, int], *, margin: int) -> None:
        self.size_hw, self.margin = size_hw, margin
        self._waiting: tuple[Instances, slice] | None = None
        self._tiles = 0

    def add(self, found: Sequence[Instances], windows: Sequence[Window]) -> Instances:
        """What no further row can change, in the whole image's pixels.

        Args:
            found: instances of each tile of the next row, none with an empty mask.
            windows: what each tile covers; all have the same rows.
        """
        rows = windows[0][0]
        flat = [(slice(0, rows.stop - rows.start), columns) for _, columns in windows]
        row, _ = merge(found, flat, (rows.stop - rows.start, self.size_hw[1]), margin=self.margin)
        row = replace(row, slots=row.slots + TILE_SLOTS * self._tiles)
        self._tiles += len(windows)
        if self._waiting is None:
            self._waiting = row, rows
            return Instances.empty(self.size_hw)
        above, above_rows = self._waiting
        reaching = above.boxes[:, 3] + above_rows.start > rows.start
        reached = row.boxes[:, 1] + rows.start < above_rows.stop
        columns = slice(0, self.size_hw[1])
        pair = [(above_rows, columns), (rows, columns)]
        joined, leaders = merge([above[reaching], row[reached]], pair, self.size_hw, margin=self.margin)
        slots = np.concatenate([above.slots[reaching], row.slots[reached]])[leaders]
        joined = replace(joined, slots=slots)
        start = min([rows.start, *joined.boxes[:, 1].astype(int).tolist()])
        kept = [self._moved(joined, slice(0, self.size_hw[0]), slice(start, rows.stop))]
        kept.append(self._moved(row[~reached], rows, slice(start, rows.stop)))
        self._waiting = Instances.joined(kept, kept[0].size_hw), slice(start, rows.stop)
        return self._moved(above[~reaching], above_rows, slice(0, self.size_hw[0]))

    def finish(self) -> Instances:
        """What still waited."""
        if self._waiting is None:
            return Instances.empty(self.size_hw)
        (waiting, rows), self._waiting = self._waiting, None
        return self._moved(waiting, rows, slice(0, self.size_hw[0]))

    def _moved(self, instances: Instances, rows: slice, to: slice) -> Instances:
        """Instances of some rows of the image over others that hold their masks."""
        columns = slice(0, self.size_hw[1])
        strips = strips_of(decode_runs(instances.rles), (slice(rows.start - to.start, rows.stop - to.start), columns))
        size_hw = (to.stop - to.start, self.size_hw[1])
        counts = encode_unions(strips, size_hw, masks=len(instances))
        return replace(instances, rles=counts, size_hw=size_hw, _cache={})
