"""What a run over images writes: pictures about each image (results.py has the file about all)."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.activation import ActivationMaps
from sparseinst.data.large.image import LargeImage, shrunk
from sparseinst.data.signature import IAM, LABELS, OVERLAY
from sparseinst.data.sources import Sources
from sparseinst.disk import check_room
from sparseinst.drawing.activation_sheet import draw_activation
from sparseinst.drawing.instances import draw, legible_scale
from sparseinst.drawing.overview import OVERVIEW_PX, draw_overview, overview_shrink
from sparseinst.inference.label_tiff import write_label_tiff
from sparseinst.inference.writers import OutputStems, write_image, write_labels
from sparseinst.structures import Instances

_CROWD, _CROWDED_PX = 200, 1536
"""Instances in an image with sides longer than this, from which on lines of the usual thickness would hide them."""
_TILED_PX = 10_000**2
"""Pixels of a label image beyond which it is a TIFF in tiles."""
_ENDINGS = tuple(f"{kind}{suffix}" for kind in (OVERLAY, LABELS, IAM) for suffix in (".png", ".jpg", ".tif"))


class Written(NamedTuple):
    """The pictures about one image."""

    overlay: Path | None = None
    labels: Path | None = None
    iam: Path | None = None


class Pictures:
    """Writes the pictures about images.

    Args:
        folder: where to; it is made.
        sources: what is read; no picture is written over an image, or over another picture.
        classes: class names by label.
        masks: whether label images are wanted, too.

    Raises:
        InputError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, sources: Sources, classes: Sequence[str], *, masks: bool) -> None:
        check_room(folder, option="out")
        self.folder, self._images, self._classes, self._masks = folder, sources.images, classes, masks
        self._stems = OutputStems(sources.images, folder, _ENDINGS)
        self._own = [self._stems.take(stem) for stem in sources.stems]

    def own_stem(self, index: int) -> str:
        """What the names of files about the file `index` as a whole begin with."""
        return self._own[index]

    def stem(self, index: int, page: int | None, pages: int) -> str:
        """What the names of the pictures about the image `index` begin with; to be asked for once a page."""
        own = self._own[index]
        return own if page is None else self._stems.take(f"{own}_{page:0{len(str(pages - 1))}}")

    def write(
        self, index: int, stem: str, picture: NDArray[np.uint8], instances: Instances, maps: ActivationMaps | None
    ) -> Written:
        """Writes them; the activation maps if there are any."""
        start = self.folder / stem
        suffix = ".jpg" if self._images[index].suffix.lower() in (".jpg", ".jpeg") else ".png"
        overlay = start.with_name(f"{stem}{OVERLAY}{suffix}")
        write_image(overlay, self._drawn(picture, instances))
        labels = self._labels(stem, instances)
        iam = None
        if maps is not None:
            iam = start.with_name(f"{stem}{IAM}.png")
            write_image(iam, draw_activation(picture, instances, maps, self._classes))
        return Written(overlay, labels, iam)

    def write_large(self, stem: str, image: LargeImage, instances: Instances) -> Written:
        """The same of an image that is read by windows: a picture of it that is smaller, and a label image in tiles."""
        overlay = self.folder / f"{stem}{OVERLAY}.png"
        shrink = overview_shrink(instances.size_hw)
        write_image(overlay, draw_overview(image.overview(shrink), instances, shrink=shrink))
        return Written(overlay, self._labels(stem, instances))

    def _drawn(self, picture: NDArray[np.uint8], instances: Instances) -> NDArray[np.uint8]:
        """Large and crowded images with outlines of one pixel, those beyond `OVERVIEW_PX` also smaller; all others with
        labels.
        """
        longest = max(instances.size_hw)
        if longest > OVERVIEW_PX or (longest > _CROWDED_PX and len(instances) > _CROWD):
            shrink = overview_shrink(instances.size_hw)
            return draw_overview(shrunk(picture, shrink), instances, shrink=shrink)
        return draw(picture, instances, self._classes, scale=legible_scale(instances.size_hw))

    def _labels(self, stem: str, instances: Instances) -> Path | None:
        if not self._masks:
            return None
        path = self.folder / f"{stem}{LABELS}"
        if instances.size_hw[0] * instances.size_hw[1] <= _TILED_PX:
            return write_labels(path, instances)
        file = path.with_name(f"{path.name}.tif")
        write_label_tiff(file, instances)
        return file
