"""Whether there is room to write: looked at before hours of work, and when a library fails in words of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparseinst.errors import InputError

_PROBE = bytes(2**16)


def check_room(folder: Path, *, option: str, make: bool = True) -> None:
    """Makes sure that files can be written in a folder.

    Args:
        folder: the folder.
        option: what it was given as, for messages: "out".
        make: make it; otherwise that which is to hold it is looked at.

    Raises:
        InputError: it cannot be made, it may not be written to, or its disk is full.
    """
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        _probe(next(path for path in (folder, *folder.absolute().parents) if path.exists()))
    except OSError as error:
        raise InputError(
            f"{option} {folder}: expected a folder that can be written to, got {error.strerror}: make room, allow it, "
            "or choose another place"
        ) from error


@contextmanager
def known_as_full(folder: Path) -> Iterator[None]:
    """Whatever a library raises within the block is an OSError where nothing can be written to the folder any more.

    Raises:
        OSError: of the block, or what writing there gives.
    """
    try:
        yield
    except (OSError, InputError):
        raise
    except Exception as error:
        try:
            _probe(folder)
        except OSError as reason:
            raise reason from error
        raise


def _probe(folder: Path) -> None:
    """Writes a little there, which says more than the system's numbers: of quotas, too."""
    path = folder / f".{os.getpid()}.room.tmp"
    try:
        path.write_bytes(_PROBE)
    finally:
        path.unlink(missing_ok=True)
