"""What image files are like: whether they can be read, which way up they lie, and which are the same picture."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import RGB
from sparseinst.data.channels import read_picture
from sparseinst.data.orientation import seen_hw
from sparseinst.data.picture_files import open_image
from sparseinst.data.stacks.channels import channels_in
from sparseinst.errors import InputError

_ORIENTATION = 274
_THUMB_PX = 32
_HASH_PX = 8
_BITS_APART = 10
"""Of 64: pictures whose hashes differ in more are different."""
_ALIKE = 0.985
"""Correlation of two thumbnails from which on they are one picture, scaled or compressed anew."""
_FLAT = 2.0
"""Deviation (0..255) of a thumbnail that shows nothing: such images are all alike, and no duplicates."""
_AT_ONCE = 512


class Look(NamedTuple):
    """What was seen of an image file.

    Args:
        size_hw: as it is to be seen; None where it cannot be read.
        stored_hw: as it is stored.
        orientation: EXIF's, 1 to 8.
        thumb: (32, 32) grey, float32; None where it cannot be read.
        error: what is wrong.
        channels: 3 of a picture in grey or in colours.
    """

    size_hw: tuple[int, int] | None
    stored_hw: tuple[int, int] | None
    orientation: int
    thumb: NDArray[np.float32] | None
    error: str = ""
    channels: int = RGB


class Pair(NamedTuple):
    """Two images, by number, that show the same."""

    one: int
    other: int


def look_at(path: Path) -> Look:
    """Reads an image file to its end."""
    try:
        pixels, names = read_picture(path), channels_in(path, pages=True)
        with open_image(path) as image:
            orientation, stored = int(image.getexif().get(_ORIENTATION, 1)), (image.height, image.width)
    except InputError as error:
        return Look(None, None, 1, None, str(error))
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    thumb = cv2.resize(grey, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    channels = RGB if names is None else len(names)
    return Look(seen_hw(stored, orientation), stored, orientation, thumb, channels=channels)


def same_pictures(looks: list[Look]) -> list[Pair]:
    """Pairs of images that show the same picture, however scaled or compressed; of several the first with each.

    A hash of brightness differences (64 bits) finds what may be the same, the correlation of thumbnails decides.
    """
    known = [i for i, look in enumerate(looks) if look.thumb is not None and look.thumb.std() > _FLAT]
    if len(known) < 2:
        return []
    thumbs = np.stack([looks[i].thumb for i in known])  # type: ignore[misc]
    hashes = _hashes(thumbs)
    shapes = np.array([looks[i].size_hw for i in known], float)
    aspects = shapes[:, 0] / shapes[:, 1]
    flat = thumbs.reshape(len(thumbs), -1)
    flat = flat - flat.mean(1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    pairs: list[Pair] = []
    taken: set[int] = set()
    for begin in range(0, len(known), _AT_ONCE):
        apart = np.bitwise_count(hashes[begin : begin + _AT_ONCE, None] ^ hashes[None])
        rows, columns = np.nonzero(apart <= _BITS_APART)
        for one, other in zip((rows + begin).tolist(), columns.tolist(), strict=True):
            if one >= other or one in taken or other in taken or abs(aspects[one] / aspects[other] - 1) > 0.02:
                continue
            if float(flat[one] @ flat[other]) >= _ALIKE:
                pairs.append(Pair(known[one], known[other]))
                taken.add(other)
    return pairs


def _hashes(thumbs: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(n,) 64 bits each: whether each cell of a small picture is brighter than its neighbour at the right."""
    small = np.stack([cv2.resize(t, (_HASH_PX + 1, _HASH_PX), interpolation=cv2.INTER_AREA) for t in thumbs])
    bits = (small[:, :, 1:] > small[:, :, :-1]).reshape(len(thumbs), -1)
    return np.packbits(bits, axis=1).view(np.uint64).reshape(-1)
