"""A process of a run that is gone: the others end with a line that says so, and what to do."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import distributed

from sparseinst.errors import InputError, typed
from sparseinst.training.folder import STATE
from sparseinst.training.state import Progress

_SIGNS = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
"""What errors of a broken exchange say, where their type does not."""


class LostProcess(InputError):
    """Raised in the processes that are left, when one of a run was killed or its machine went away.

    SIGTERM, with which the launcher ends them then, is ignored from here on: the words are to be read.
    """


@contextmanager
def none_lost(out: Path, progress: Progress) -> Iterator[None]:
    """Turns the errors of an exchange with a process that is gone into `LostProcess`.

    Args:
        out: folder of the run.
        progress: how far it has come.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_of_an_exchange(error):
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        saved = f"what was saved last is in {out}" if (out / STATE).is_file() else "nothing was saved yet"
        raise LostProcess(
            f"process {os.environ.get('RANK', '0')} of {os.environ.get('WORLD_SIZE', '1')}: another process of the run "
            "is gone (killed, out of memory, or its machine is), which ends the run after iteration "
            f"{progress.iteration}; {saved}. Go on, with as many processes as you like: "
            f"sparseinst train --resume {typed(out)}"
        ) from error


def _is_of_an_exchange(error: RuntimeError) -> bool:
    if not distributed.is_available() or "WORLD_SIZE" not in os.environ:
        return False
    return isinstance(error, distributed.DistError) or any(sign in str(error) for sign in _SIGNS)
