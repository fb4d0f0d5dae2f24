"""The form that keeps corrected labels as annotations to train on."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from sparseinst.data.formats.labels import CLASS, CLASSES_FILE, read_classes, write_classes
from sparseinst.errors import InputError
from sparseinst.files import atomic
from sparseinst.napari.layers import NETWORK, plane_of, planes_of

if TYPE_CHECKING:
    import napari.layers


def save_annotations(image: "napari.layers.Image", labels: "napari.layers.Labels", folder: Path = Path()) -> None:
    """Writes the planes that have labels as images and label images, for `sparseinst train --data FOLDER`.

    Args:
        image: what the labels are of; written at its own depth.
        labels: corrected by hand; their class is that of the network that found them, where it knows one alone.
        folder: where images/, masks/ and labels.csv go, beside what is there; planes written before are replaced.

    Raises:
        InputError: no folder was named, the labels are those of another image, or there are none.
    """
    if folder == Path():
        raise InputError("expected a folder to write to, got none: name one")
    places = [place for place in planes_of(image, labels) if plane_of(labels, place).any()]
    if not places:
        raise InputError(f"{labels.name}: expected labels in some plane, found none: draw them first")
    known = labels.metadata.get(NETWORK, {}).get("classes", ())
    name = known[0] if len(known) == 1 else CLASS
    classes = read_classes(folder / CLASSES_FILE)
    for place in places:
        stem = "_".join([re.sub(r"[^\w.-]+", "_", image.name), *map(str, place)])
        numbers = np.asarray(plane_of(labels, place))
        _write(folder / "images" / f"{stem}.tif", _as_stored(plane_of(image, place)), colours=image.rgb)
        mask = folder / "masks" / f"{stem}.tif"
        _write(mask, numbers.astype(np.uint32 if numbers.max() >= 2**16 else np.uint16), colours=False)
        classes = {key: value for key, value in classes.items() if key[0] != mask.name}
        classes |= {(mask.name, int(number)): name for number in np.unique(numbers) if number}
    write_classes(folder / CLASSES_FILE, [(file, number, text) for (file, number), text in classes.items()])


def _as_stored(values: NDArray[Any]) -> NDArray[Any]:
    """What image files hold: no bool, no 64 bits."""
    narrow = {"b": np.uint8, "f": np.float32}.get(values.dtype.kind)
    if narrow is not None:
        return values.astype(narrow)
    return values.astype(np.int32) if values.dtype.itemsize > 4 else values


def _write(path: Path, values: NDArray[Any], *, colours: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        tifffile.imwrite(temporary, values, compression="zlib", photometric="rgb" if colours else "minisblack")
