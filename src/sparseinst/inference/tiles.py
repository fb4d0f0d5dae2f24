"""Large and crowded images in tiles: cut, segmented like any image, and brought together again (see `tiling`)."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparseinst.activation import ActivationMaps
from sparseinst.data.prepare import Prepared
from sparseinst.inference.batches import Explained
from sparseinst.inference.merging import merge
from sparseinst.inference.tiling import Tiling
from sparseinst.masks.grid import Window
from sparseinst.modeling.postprocess import without_small_pieces
from sparseinst.structures import Instances

Part = TypeVar("Part")


class Cut(NamedTuple):
    """An image as the network takes it: whole, or in tiles.

    Tiles are prepared when their turn comes, so that no more of them are held than the network needs at once.
    """

    windows: tuple[Window, ...]
    parts: Iterable[Prepared]
    """The windows' images, in their order; to be gone through once."""
    size_hw: tuple[int, int]
    margin: int
    """Of the tiling."""


def cut(image: NDArray[np.uint8], tiling: Tiling | None, prepare: Callable[[NDArray[np.uint8]], Prepared]) -> Cut:
    """Cuts an (H, W, channels) uint8 image; without a tiling, or where one tile holds it all, it is prepared now."""
    size_hw = (image.shape[0], image.shape[1])
    windows = ((slice(0, size_hw[0]), slice(0, size_hw[1])),) if tiling is None else tiling.windows(size_hw)
    parts = (prepare(image[window]) for window in windows)
    margin = 0 if tiling is None else tiling.margin
    return Cut(windows, parts if len(windows) > 1 else tuple(parts), size_hw, margin)


def join_cuts(
    cuts: Iterable[Cut],
    segment: Callable[[Iterable[Prepared]], Iterator[Part]],
    bring_together: Callable[[list[Part], Cut], Part],
) -> Iterator[Part]:
    """Finds what whole images show through their tiles, which are segmented in one stream.

    Args:
        cuts: the images; each is asked for when those before it have been given to `segment`.
        segment: gives what is found in each prepared image, in their order.
        bring_together: makes one of what the several tiles of an image showed (`one_of_tiles`, `one_of_explained`).

    Returns:
        For each image, in their order.
    """
    waiting: deque[Cut] = deque()

    def parts() -> Iterator[Prepared]:
        for item in cuts:
            waiting.append(item)
            yield from item.parts

    found = segment(parts())
    for first in found:
        done = waiting.popleft()
        own = [first, *islice(found, len(done.windows) - 1)]
        yield first if len(own) == 1 else bring_together(own, done)


def one_of_tiles(parts: list[Instances], cut: Cut, *, least_piece: float = 0.0) -> Instances:
    """The instances of an image from those of its tiles (see `merging.merge`).

    Args:
        parts: of each tile.
        cut: the image.
        least_piece: pieces below this share of a mask are dropped, for views of the same object may fail to meet.
    """
    merged, _ = merge(parts, cut.windows, cut.size_hw, margin=cut.margin)
    return without_small_pieces(merged, least=least_piece)


def one_of_explained(parts: list[Explained], cut: Cut, *, least_piece: float = 0.0) -> Explained:
    """The same with activation maps: those of the tile whose view of an object came first."""
    merged, leaders = merge([instances for instances, _ in parts], cut.windows, cut.size_hw, margin=cut.margin)
    origins = [(rows.start, columns.start) for rows, columns in cut.windows]
    maps = ActivationMaps.joined([maps for _, maps in parts], origins, cut.size_hw)[leaders]
    return without_small_pieces(merged, least=least_piece), maps
