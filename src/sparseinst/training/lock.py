"""One process at a time in the folder of a run."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sparseinst.errors import InputError

LOCK = "run.lock"
_WRITING_S = 0.2
_BEAT_S = 2.0
"""Between two signs of life, for other machines that see the folder."""
_SILENT_S = 180.0
"""Without one a process on another machine is taken for dead."""
_CLOCK_S = 5.0
"""How far the start of a process may move when the machine's clock is set."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a folder that exists; the lock of a process that is dead is taken over.

    Raises:
        InputError: another process that lives, or one on another machine that did some minutes ago, is in it.
    """
    path = folder / LOCK
    own = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "began_s": _began_s(os.getpid())})
    while not _write_new(path, own):
        holder = _read(path)
        if holder is None:
            continue  # its owner has just left
        if _lives(holder, path):
            raise InputError(
                f"{folder}: process {holder.get('pid')} on {holder.get('host')} trains in this folder: wait for its "
                f"end, or choose another folder (on another machine it is taken for dead {_SILENT_S:.0f} s after its "
                f"last sign of life; if it is gone for certain, remove {path})"
            )
        _remove(path, holder)
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, over), name="sign of life", daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()
        path.unlink(missing_ok=True)


def is_locked(folder: Path) -> bool:
    """Whether a process that lives is in a folder."""
    holder = _read(folder / LOCK)
    return holder is not None and _lives(holder, folder / LOCK)


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(_BEAT_S):
        with suppress(OSError):  # a disk that is away for a while
            os.utime(path)


def _write_new(path: Path, text: str) -> bool:
    """Writes a file that is not there yet; False if it is there."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _read(path: Path) -> dict[str, object] | None:
    """What the lock says; nothing where a dead process left half of it, None where there is none."""
    for _ in range(2):
        try:
            holder = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            time.sleep(_WRITING_S)  # it may be in the middle of being written
            continue
        return holder if isinstance(holder, dict) else {}
    return {}


def _remove(path: Path, holder: dict[str, object]) -> None:
    """Removes the lock of a dead process, unless another process was faster and has put its own there."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.dead")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _read(aside) == holder:
        aside.unlink()
    else:
        aside.replace(path)


def _lives(holder: dict[str, object], path: Path) -> bool:
    pid, began_s = holder.get("pid"), holder.get("began_s")
    if not isinstance(pid, int) or not isinstance(began_s, float | int):
        return False
    if holder.get("host") != socket.gethostname():
        return _silent_s(path) < _SILENT_S
    now = _began_s(pid)
    return now is not None and abs(now - began_s) < _CLOCK_S


def _silent_s(path: Path) -> float:
    """Seconds since the last sign of life, by the clock of the disk, which all machines share."""
    clock = path.with_name(f"{path.name}.{os.getpid()}.now")
    try:
        clock.touch()
        return clock.stat().st_mtime - path.stat().st_mtime
    except OSError:
        return 0.0  # gone, or not to be written: who cannot tell leaves it alone
    finally:
        clock.unlink(missing_ok=True)


def _began_s(pid: int) -> float | None:
    """When a process was started, for a number that is used again is another process; None where there is none."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
