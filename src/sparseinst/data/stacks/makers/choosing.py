"""What the readers of makers' formats have in common."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sparseinst.errors import InputError

_MOST_NAMED = 20


def chosen_series(path: Path, names: Sequence[str], series: str | None) -> int:
    """The number of the image to look at in a file of several.

    Args:
        path: the file, for messages.
        names: of its images.
        series: name or number of one; None takes the only one.

    Raises:
        InputError: there is none, none of this name, or none was chosen of several.
    """
    if series is None and len(names) == 1:
        return 0
    if series is not None:
        lower = [name.lower() for name in names]
        if series.lower() in lower:
            return lower.index(series.lower())
        if series.isdecimal() and int(series) < len(names):
            return int(series)
    if not names:
        raise InputError(f"{path}: expected a file with images, found none in it: check the file")
    told = ", ".join(str(i) if name == str(i) else f"{i} {name}" for i, name in enumerate(names[:_MOST_NAMED]))
    more = ", ..." if len(names) > _MOST_NAMED else ""
    wanted = "the image to look at" if series is None else f"one of its images, got {series!r}"
    raise InputError(f"{path}: expected {wanted}, for there are {len(names)} ({told}{more}): give --series")


def refuse_axes(path: Path, sizes: Mapping[str, int], known: str) -> None:
    """Raises InputError where an image is long on an axis that no image of cells has."""
    if others := {axis: size for axis, size in sizes.items() if axis not in known and size > 1}:
        raise InputError(
            f"{path}: expected axes X and Y, with T, Z, C and S (colours) at most, got {others} too: save one image "
            "of them as OME-TIFF"
        )
