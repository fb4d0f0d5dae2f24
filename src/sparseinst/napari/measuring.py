"""The form that measures objects, also those drawn or corrected by hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparseinst.cells.measuring import RING_PX, measure, needed
from sparseinst.data.stacks.stack import COLOURS
from sparseinst.errors import InputError
from sparseinst.files import atomic
from sparseinst.napari.layers import instances_of, plane_of, planes_of, size_of

if TYPE_CHECKING:
    import napari.layers

_NOT_KNOWN = ["class", "score"]
"""Columns of what a network found, of which labels say nothing."""


def measure_objects(
    image: "napari.layers.Image", labels: "napari.layers.Labels", ring_px: int = RING_PX, save_csv: Path = Path()
) -> None:
    """Measures the objects of a layer of labels; napari shows the table (Layers, Visualize, Features table widget).

    The table holds a row for each number: of one that is in several planes, that of the plane with most of it. The
    file, if one is named, has a row for each number of each plane.

    Args:
        image: what is measured.
        labels: whose objects.
        ring_px: width of the ring around objects in which intensities are measured, too.
        save_csv: a file to write; none without a name.

    Raises:
        InputError: the labels are those of another image, or the name of the file does not end in .csv.
    """
    table = measurements(image, labels, ring_px)
    best = table.sort_values("area", ascending=False).drop_duplicates("id").sort_values("id")
    labels.features = best.rename(columns={"id": "index"}).reset_index(drop=True)
    if save_csv == Path():
        return
    if save_csv.suffix.lower() != ".csv" or not save_csv.parent.is_dir():
        raise InputError(f"{save_csv}: expected a name ending in .csv in a folder that is there: give another")
    with atomic(save_csv) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def measurements(image: Any, labels: Any, ring_px: int) -> Any:
    """A pandas table of all objects of all planes: `plane_0`, `plane_1`, ... of the axes before H, then as in files."""
    pandas = needed("pandas")
    parts = []
    for place in planes_of(image, labels):
        instances, numbers = instances_of(plane_of(labels, place))
        pixels = plane_of(image, place)
        channels = list(COLOURS) if image.rgb else [image.name]
        values = pixels[:, :, : len(COLOURS)] if image.rgb else pixels
        part = measure(instances, values, channels=channels, pixel=size_of(image), ring_px=ring_px)
        part = part.drop(columns=_NOT_KNOWN)
        part["id"] = numbers
        for axis, number in reversed(list(enumerate(place))):
            part.insert(0, f"plane_{axis}", number)
        parts.append(part)
    return pandas.concat(parts, ignore_index=True)
