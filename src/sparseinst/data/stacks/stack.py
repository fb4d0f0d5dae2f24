"""Image files by their axes: time points, planes and channels, and how large a pixel is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.physical import PixelSize
from sparseinst.data.pixels import decoding
from sparseinst.errors import InputError, listed
from sparseinst.files import is_folder

COLOURS = ("red", "green", "blue")
"""Names of the channels of an image in colours."""
MOST_CHANNELS = 1_000
"""Of a file: several times what spectral detectors have."""
MOST_PLACES = 1_000_000
"""Planes and time points of a file together."""
_NAMED = 24
"""Channels that a message names."""

Load = Callable[[int, int, int], NDArray[Any]]
"""Gives the (height, width) values of a channel: of a time point, plane and channel, each from 0."""


def channel_names(path: Path, names: Sequence[str], count: int) -> tuple[str, ...]:
    """The names of channels, numbers for those without one; numbers for all where the names do not tell them apart.

    Raises:
        InputError: there are more than `MOST_CHANNELS`, which is how damaged sizes show.
    """
    if count > MOST_CHANNELS:
        raise InputError(
            f"{path}: expected at most {MOST_CHANNELS:,} channels, got {count:,}: replace it if it is damaged, or save "
            "the channels to look at"
        )
    filled = tuple(name or str(i) for i, name in enumerate(names))
    fits = len(filled) == count and len({name.lower() for name in filled}) == count
    return filled if fits else tuple(map(str, range(count)))


class Place(NamedTuple):
    """Where in a file an image is, each from 0."""

    time: int = 0
    plane: int | None = 0
    """None of a projection."""


class View(NamedTuple):
    """What is looked at in files of several channels or planes.

    Args:
        channel: the name or number (from 0) of the channel; None takes the only one, or the colours.
        project: "max" looks at the brightest of all planes of a time point instead of each plane.
        series: the name or number (from 0) of the image in a CZI, LIF or ND2 file of several; None takes the only one.
    """

    channel: str | None = None
    project: str | None = None
    series: str | None = None


@dataclass(frozen=True)
class Stack:
    """An open image file of any kind.

    Args:
        path: the file.
        times: how many time points.
        depth: how many planes at each.
        channels: names of the channels; their numbers where the file does not name them.
        colours: whether the channels are the red, green and blue of one picture.
        pixel: how large a pixel is, where the file says so.
        load: gives the values of a channel.
        page_of: the number of the page that holds a channel alone, of a TIFF file whose pages are planes.
    """

    path: Path
    times: int
    depth: int
    channels: tuple[str, ...]
    colours: bool
    pixel: PixelSize | None
    load: Load
    page_of: Callable[[int, int, int], int] | None = None

    def places(self, view: View) -> list[Place]:
        """What is looked at, time points first: each plane, or the projections.

        Raises:
            InputError: these are more than `MOST_PLACES`, which is how damaged sizes show.
        """
        if self.times * self.depth > MOST_PLACES:
            raise InputError(
                f"{self.path}: expected at most {MOST_PLACES:,} planes and time points together, got {self.times:,} "
                f"times {self.depth:,}: replace it if it is damaged, or cut it into parts"
            )
        if view.project is not None:
            return [Place(time, None) for time in range(self.times)]
        return [Place(time, plane) for time in range(self.times) for plane in range(self.depth)]

    def number_of(self, name: str) -> int:
        """The place of a channel of this name or number.

        Raises:
            InputError: there is none.
        """
        lower = [channel.lower() for channel in self.channels]
        if name.lower() in lower:
            return lower.index(name.lower())
        if name.isdecimal() and int(name) < len(self.channels):
            return int(name)
        raise InputError(f"{self.path}: expected one of the channels {self.named()}, got {name!r}: choose one of them")

    def named(self) -> str:
        """Its channels as text: 0 DAPI, 1 GFP."""
        return listed(
            [f"{i}" if name == str(i) else f"{i} {name}" for i, name in enumerate(self.channels)], most=_NAMED
        )

    def part(self, place: Place, view: View) -> dict[str, int] | None:
        """Where a picture is in the file, as `open_large` takes it; None of the first of an image in colours.

        Raises:
            InputError: there is no such channel, or none was chosen of several; it cannot be read by windows.
        """
        channel = self.chosen(view)
        if channel is None and place == Place(0, 0) and self.times == self.depth == 1:
            return None
        if channel is None or place.plane is None or (self.page_of is None and not is_folder(self.path)):
            raise InputError(
                f"{self.path}: expected one channel of planes in pages of their own, for planes this large are read by "
                "windows: give --channel without --project, or save it as OME-TIFF or OME-Zarr"
            )
        if self.page_of is not None:
            return {"page": self.page_of(place.time, place.plane, channel)}
        return {"t": place.time, "z": place.plane, "c": channel}

    def chosen(self, view: View) -> int | None:
        """The channel to look at; None of an image in colours.

        Raises:
            InputError: there is no such channel, or none was chosen of several.
        """
        if view.channel is not None:
            return self.number_of(view.channel)
        if self.colours:
            return None
        if len(self.channels) > 1:
            raise InputError(
                f"{self.path}: expected the channel to look at, for there are {len(self.channels)} ({self.named()}): "
                "give --channel"
            )
        return 0

    def values(self, place: Place, channel: int) -> NDArray[Any]:
        """(height, width) values of a channel as they are in the file; of a projection the largest of all planes."""
        with decoding(str(self.path)):
            if place.plane is not None:
                return self.load(place.time, place.plane, channel)
            brightest = self.load(place.time, 0, channel)
            for plane in range(1, self.depth):
                brightest = np.maximum(brightest, self.load(place.time, plane, channel))
            return brightest

    def all_values(self, place: Place) -> NDArray[Any]:
        """(channels, height, width) values of all channels."""
        return np.stack([self.values(place, channel) for channel in range(len(self.channels))])

    def picture(self, place: Place, view: View) -> NDArray[Any]:
        """What the network is to see, at the depth of the file: (height, width), or (height, width, 3) in colours.

        Raises:
            InputError: there is no such channel, or none was chosen of several.
        """
        channel = self.chosen(view)
        return np.moveaxis(self.all_values(place), 0, 2) if channel is None else self.values(place, channel)
