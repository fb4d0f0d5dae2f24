"""One process at a time in the folder of a run."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparseinst.errors import InputError

LOCK = "run.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a folder that exists; the lock of a process that is dead is taken over.

    Raises:
        InputError: another process that lives, or one on another machine, is in it.
    """
    path = folder / LOCK
    own = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "began": _began(os.getpid())})
    while not _write_new(path, own):
        holder = _read(path)
        if holder is None:
            continue  # its owner has just left
        if _lives(holder):
            raise InputError(
                f"{folder}: process {holder.get('pid')} on {holder.get('host')} trains in this folder: wait for its "
                f"end, or choose another folder (if that process is gone for certain, remove {path})"
            )
        _remove(path, holder)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def is_locked(folder: Path) -> bool:
    """Whether a process that lives is in a folder."""
    holder = _read(folder / LOCK)
    return holder is not None and _lives(holder)


def _write_new(path: Path, text: str) -> bool:
    """Writes a file that is not there yet, whole from the first moment on; False if it is there."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _read(path: Path) -> dict[str, object] | None:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}  # written by nobody: as good as dead
    return holder if isinstance(holder, dict) else {}


def _remove(path: Path, holder: dict[str, object]) -> None:
    """Removes the lock of a dead process, unless another process was faster and has put its own there."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.dead")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _read(aside) != holder:
        os.link(aside, path)
    aside.unlink()


def _lives(holder: dict[str, object]) -> bool:
    pid = holder.get("pid")
    if not isinstance(pid, int):
        return False
    if holder.get("host") != socket.gethostname():
        return True  # nobody here can tell
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return _began(pid) == holder.get("began")


def _began(pid: int) -> str | None:
    """When a process was started, in the system's ticks: a number that is used again is another process."""
    path = Path(f"/proc/{pid}/stat")
    try:
        return path.read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
