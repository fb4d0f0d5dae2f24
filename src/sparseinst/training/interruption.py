"""Ctrl-C and SIGTERM: the run ends after the step that it is in, and what it has learnt is saved."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
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
        self.name = _name_of(number)
        super().__init__(f"{self.name}: stopped after iteration {iteration}, saved in {out}")
        self.out, self.iteration, self.exit_code = out, iteration, 128 + number


class BrokenOff(BaseException):
    """Raised by the first signal in what may be broken off and done again later."""


class Signals:
    """Catches the first Ctrl-C or SIGTERM; the second one raises KeyboardInterrupt at once.

    In threads other than the main one nothing can be caught, and signals do what they always do.

    Args:
        tell: what to say at once, on standard error, when the first signal is seen; None says nothing.
        then: called at the first signal.

    Attributes:
        number: the signal that came, 0 for none.
    """

    def __init__(self, *, tell: str | None, then: Callable[[], object] | None = None) -> None:
        self.number = 0
        self._tell, self._then, self._breaks, self._seen_s = tell, then, False, 0.0
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
            if signal.getsignal(number) == self._handle:  # else somebody has a reason
                signal.signal(number, handler)

    @property
    def name(self) -> str:
        """What people call the signal that came."""
        return _name_of(self.number)

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
            os.write(2, f"\n{self.name}: {self._tell}; once more ends at once\n".encode())
        if self._then is not None:
            self._then()
        if self._breaks:
            raise BrokenOff


def _name_of(number: int) -> str:
    return _NAMES.get(signal.Signals(number), str(number))
