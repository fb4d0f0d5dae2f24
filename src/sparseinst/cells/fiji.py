"""Outlines for Fiji: a zip of regions of interest that its ROI Manager opens."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparseinst.cells.measuring import needed
from sparseinst.cells.outlines import outlines
from sparseinst.data.stacks.stack import Place
from sparseinst.files import atomic
from sparseinst.structures import Instances

_LARGEST = 2**15 - 1
"""Coordinates up to this are stored as whole numbers, larger ones as fractions."""


class Placed(NamedTuple):
    """The instances of one picture of a file, and where it is in the file."""

    instances: Instances
    place: Place


def write_rois(path: Path, pictures: Iterable[Placed], *, planes: bool) -> None:
    """Writes the outlines of a file's objects, NAME_rois.zip.

    Objects are named as in label images, with their class; further pieces of one, holes filled, follow it with -2, -3.
    A ROI is a traced one: corners of pixels, so that Fiji measures the mask's own area.

    Args:
        path: the zip.
        pictures: of one file, in order.
        planes: whether the file is a stack, in which a ROI belongs to a plane or time point.

    Raises:
        InputError: roifile is not installed.
    """
    roifile = needed("roifile")
    rois = []
    for instances, place in pictures:
        for index, name in enumerate(instances.names):
            for number, piece in enumerate(outlines(instances, index), 1):
                whole = piece[0].max() <= _LARGEST
                roi = roifile.ImagejRoi.frompoints(piece[0] if whole else piece[0].astype(np.float64))
                roi.roitype = roifile.ROI_TYPE.TRACED
                tail = "" if number == 1 else f"-{number}"
                where = _where(place) if planes else ""
                roi.name = f"{index + 1:05d}-{name}{where}{tail}"
                if planes:
                    roi.z_position = 0 if place.plane is None else place.plane + 1
                    roi.t_position = place.time + 1
                rois.append(roi)
    with atomic(path) as temporary:
        roifile.roiwrite(temporary, rois, mode="w")


def _where(place: Place) -> str:
    plane = "" if place.plane is None else f"-z{place.plane + 1}"
    return f"-t{place.time + 1}{plane}"
