"""What is looked at in a file of several channels, planes and time points, one picture after the other."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import to_rgb8
from sparseinst.data.pages import Page, page_name
from sparseinst.data.physical import PixelSize
from sparseinst.data.pixels import decoding
from sparseinst.data.stacks.opening import open_stack
from sparseinst.data.stacks.stack import Place, Stack, View
from sparseinst.errors import InputError


class PlacedPage(NamedTuple):
    """A picture, where it is in its file, and how large its pixels are where that is known."""

    page: Page
    place: Place | None
    pixel: PixelSize | None


def read_places(path: Path, intensity: IntensityConfig, view: View) -> Iterator[PlacedPage]:
    """The pictures of a file under a view, time points first; numbered in this order where there are several.

    Args:
        path: the file; only the picture at hand is held in memory.
        intensity: what to do with values of more than 8 bits, picture by picture.
        view: the channel and planes to look at.

    Returns:
        At least one: that of a file which is no image, or has no such channel, raises when it is read.
    """
    try:
        with open_stack(path, view.series) as stack:
            stack.chosen(view)  # said once, not for each plane
            yield from pages_of(stack, view, partial(_read, stack, view, intensity))
    except InputError as error:
        yield refused(error)


def pages_of(stack: Stack, view: View, read: Callable[[Place, str], NDArray[np.uint8]]) -> Iterator[PlacedPage]:
    """The pictures of an open file, which a function of their place and name reads."""
    places = stack.places(view)
    for number, place in enumerate(places):
        shown = None if len(places) == 1 else number
        name = page_name(str(stack.path), shown)
        yield PlacedPage(Page(shown, len(places), partial(read, place, name)), place, stack.pixel)


def refused(error: InputError) -> PlacedPage:
    """What stands for a file that cannot be opened: it raises when it is read."""
    return PlacedPage(Page(None, 1, partial(_refuse, error)), None, None)


def _read(stack: Stack, view: View, intensity: IntensityConfig, place: Place, name: str) -> NDArray[np.uint8]:
    picture = stack.picture(place, view)
    with decoding(name):
        return to_rgb8(picture, intensity)


def _refuse(error: InputError) -> NDArray[np.uint8]:
    raise error
