"""Ctrl-C and SIGTERM: the run ends after the step that it is in, and what it has learnt is saved."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_ONE_S = 0.2
"""Signals that come within this time are one: a terminal sends it to all processes, and a launcher sends it on."""


class Interrupted(KeyboardInterrupt):
    """Raised when a run was ended by Ctrl-C or SIGTERM, after its state was saved.

    Args:
        number: the signal.
        out: folder of the run.
        iteration: iterations done, all of which are saved.

    Attributes:
        exit_code: what shells expect of a process that ends so: 130 or 143.
    """

    def __init__(self, number: int, out: Path, iteration: int) -> None:
        self.name = _NAMES.get(signal.Signals(number), str(number))
        super().__init__(f"{self.name}: stopped after iteration {iteration}, saved in {out}")
        self.out, self.iteration, self.exit_code = out, iteration, 128 + number


class BrokenOff(BaseException):
    """Raised by the first signal in what may be broken off and done again later."""


class Signals:
    """Catches the first Ctrl-C or SIGTERM; the second one raises KeyboardInterrupt at once.

    In threads other than the main one nothing can be caught, and signals do what they always do.

    Args:
        tell: whether to say at once, on standard error, that the first signal was seen.

    Attributes:
        number: the signal that came, 0 for none.
    """

    def __init__(self, *, tell: bool) -> None:
        self.number = 0
        self._tell, self._breaks, self._seen_s = tell, False, 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            # A signal that is ignored (a background job's Ctrl-C) stays so.
            caught = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._handle) for number in caught}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def breaking_off(self) -> Iterator[None]:
        """Within it the first signal breaks off with `BrokenOff`; so does entering it after a signal."""
        try:
            self._breaks = True
            if self.number:
                raise BrokenOff
            yield
        finally:
            self._breaks = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number:
            if now - self._seen_s > _ONE_S:
                raise KeyboardInterrupt
            return
        self.number, self._seen_s = number, now
        if self._tell:  # not through a stream, which may be in the middle of a write
            name = _NAMES[signal.Signals(number)]
            os.write(2, f"\n{name}: saving once this step is done; once more ends at once\n".encode())
        if self._breaks:
            raise BrokenOff
