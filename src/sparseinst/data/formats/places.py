"""Where the images of a data set are written: within the folder that is written, whatever their file calls them."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

from sparseinst.errors import InputError, listed


def inner(name: str) -> PurePath:
    """Where in a folder the image of this name is written: a name that leads out of it is reduced to its last part.

    >>> inner("a/b.png").as_posix(), inner("../../b.png").as_posix(), inner("/home/me/b.png").as_posix()
    ('a/b.png', 'b.png', 'b.png')
    """
    path = PurePath(name)
    return PurePath(path.name) if path.anchor or ".." in path.parts else path


def check_places(names: Iterable[str]) -> None:
    """Refuses images of which one would be written over another.

    Args:
        names: of all images of a part.

    Raises:
        InputError: two have the same place.
    """
    twice = [place.as_posix() for place, times in Counter(map(inner, names)).items() if times > 1]
    if twice:
        raise InputError(
            f"expected images that are written under names of their own, got several for {listed(twice)}: rename them, "
            "or put all images into one folder"
        )
