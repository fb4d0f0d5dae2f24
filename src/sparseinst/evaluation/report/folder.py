"""The folder of a report: what is in it, and what may be replaced by it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparseinst.disk import check_room
from sparseinst.errors import InputError
from sparseinst.files import real

PAGE, FIGURES, PICTURES = "index.html", "report.json", "images"


def check_report_folder(folder: Path) -> None:
    """Makes the folder's parent, and makes sure that nothing but an earlier report would be replaced.

    Raises:
        InputError: the folder holds something else, is a file, or its parent cannot be made.
    """
    if folder.is_dir():
        names = {path.name for path in folder.iterdir()}
        if names and not (names <= {PAGE, FIGURES, PICTURES} and PAGE in names and FIGURES in names):
            raise InputError(
                f"report {folder}: expected a new or empty folder or an earlier report, got one that holds "
                f"{', '.join(sorted(names)[:3])}: choose another"
            )
    elif folder.exists():
        raise InputError(f"report {folder}: expected a folder, got a file: choose another")
    check_room(folder.parent, option="report")


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, renamed to it once the block has ended well, removed otherwise."""
    check_report_folder(folder)
    folder = real(folder)
    temporary, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{kind}") for kind in ("tmp", "old"))
    try:
        temporary.mkdir()
        yield temporary
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
