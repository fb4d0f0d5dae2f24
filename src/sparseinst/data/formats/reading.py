"""Every format to one form: COCO records in memory."""

from sparseinst.data.formats import coco, labelme, labels, objects, voc, yolo
from sparseinst.data.formats.classes import complete
from sparseinst.data.formats.content import Content, Notes
from sparseinst.data.formats.source import Split

_READERS = {
    "coco": coco.read, "yolo": yolo.read, "labelme": labelme.read, "labels": labels.read, "objects": objects.read,
    "voc": voc.read,
}  # fmt: skip


def read_content(split: Split, notes: Notes | None = None) -> Content:
    """The records of a part of a data set: {"images", "annotations", "categories"}, file names relative to its images.

    Of COCO files they are what the file holds, not yet checked; see `records.parse_records`.

    Args:
        split: the part.
        notes: takes what is broken or left out; None raises the first that is broken.

    Raises:
        InputError: nothing can be read; without notes, if anything cannot.
    """
    return _READERS[split.kind](complete(split), notes)
