"""The folder of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparseinst.disk import check_room
from sparseinst.errors import InputError, typed
from sparseinst.files import at_home
from sparseinst.training.facts import FACTS
from sparseinst.training.lock import locked
from sparseinst.training.split import HELD_OUT

STATE, BEST, CONFIG = "state.pt", "best.safetensors", "config.yaml"

RUNS = Path("runs")
"""Where runs go that are given no folder."""


def run_folder(data: str | Path, *, resume: bool = False) -> Path:
    """The folder of a run that is given none: runs/NAME, NAME-2, NAME-3 and so on, by the name of its data.

    Args:
        data: a folder, or a YAML file.
        resume: take the last one that is there instead of the next one that is free.

    Example:
        >>> run_folder("no/such/cells.yaml").as_posix()
        'runs/cells'
    """
    path = at_home(data)
    name = (path.stem if path.suffix.lower() in (".yaml", ".yml") else path.resolve().name) or "run"
    there = [1] if (RUNS / name).exists() else []
    there += [int(end) for other in RUNS.glob("*-*") if (end := other.name.removeprefix(f"{name}-")).isdecimal()]
    number = max(there, default=0) + (not resume)
    return RUNS / (name if number <= 1 else f"{name}-{number}")


def check_folder(out: Path, resume: bool) -> None:
    """Checks that a run may start, or go on, in a folder.

    Raises:
        InputError: it may not.
    """
    state = out / STATE
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder for the run, found a file: choose another name")
    if state.is_file() and not resume:
        raise InputError(f"{out}: holds a run already: resume it (--resume {typed(out)}) or choose another folder")
    if resume and not state.is_file() and not was_begun(out):
        raise InputError(
            f"{out}: expected the folder of a run to resume, with its {STATE}, found none: check the path, or start a "
            "run without --resume"
        )


def was_begun(out: Path) -> bool:
    """Whether a run was started in a folder, though perhaps ended before anything was saved."""
    return (out / CONFIG).is_file() and (out / FACTS).is_file()


@contextmanager
def opened(out: Path) -> Iterator[None]:
    """Makes the folder of a run and keeps other processes out of it; if no run begins in it, nothing is left.

    Raises:
        InputError: it cannot be made, or another process is in it.
    """
    check_room(out, option="out")
    try:
        with locked(out):
            yield
    finally:
        if not (out / CONFIG).is_file():
            (out / HELD_OUT).unlink(missing_ok=True)
            if not any(out.iterdir()):
                out.rmdir()
