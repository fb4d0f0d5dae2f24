"""The line that shows how a run is going."""

from collections import deque
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars

_RECENT = 200
"""Iterations whose mean duration says how long the rest will take."""


class TimeLeft:
    """Estimates the seconds until the end of a run, evaluations included.

    Args:
        iterations: length of the run.
        evaluate_every: iterations between evaluations.
    """

    def __init__(self, iterations: int, evaluate_every: int) -> None:
        self.iterations, self.evaluate_every = iterations, evaluate_every
        self._steps: deque[float] = deque(maxlen=_RECENT)
        self._evaluations: deque[float] = deque(maxlen=3)

    def step(self, seconds: float) -> None:
        """Notes the duration of an iteration."""
        self._steps.append(seconds)

    def evaluation(self, seconds: float) -> None:
        """Notes the duration of an evaluation with its checkpoint."""
        self._evaluations.append(seconds)

    def steps_per_s(self) -> float:
        """Iterations a second lately; 0 before anything is known."""
        return 1 / max(_mean(self._steps), 1e-9) if self._steps else 0.0

    def seconds(self, done: int) -> float | None:
        """Seconds left after `done` iterations; None before anything is known.

        Evaluations count once one has been timed.
        """
        if not self._steps:
            return None
        evaluations = -(-self.iterations // self.evaluate_every) - done // self.evaluate_every
        if done == self.iterations:
            evaluations = 0
        return (self.iterations - done) * _mean(self._steps) + evaluations * _mean(self._evaluations)


class _BarsOverTerms(Bars):
    """Bars with the terms of the loss below them, in as many lines as they need."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield from (Columns(task.fields["terms"], padding=(0, 3)) for task in self.tasks)


class Display:
    """A rich progress bar with images a second and the time left, over the loss terms; silent without a console."""

    def __init__(self, console: Console | None, *, iterations: int, start: int) -> None:
        self._console, self._iterations = console, iterations
        self._bars: Bars | None = None
        if console is not None:
            self._bars = _BarsOverTerms(
                TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
                TextColumn("{task.fields[loss]}"), TextColumn("{task.fields[speed]}"),
                TextColumn("{task.fields[left]}"), console=console,
            )  # fmt: skip
            self._task = self._bars.add_task(
                "train", total=iterations, completed=start, loss="", terms=(), speed="", left="time left --:--"
            )

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def step(
        self, done: int, losses: Mapping[str, float], images_per_s: float, left_s: float | None, *, row: bool
    ) -> None:
        """Shows the state after `done` iterations; into a file, where no bar can move, only the `row`s of the log."""
        if self._bars is None or self._console is None:
            return
        loss = f"loss {sum(losses.values()):.3f}"
        terms = [f"{name.removeprefix('loss_').replace('_', ' ')} {value:.3f}" for name, value in losses.items()]
        speed, left = f"{images_per_s:.1f} images/s", f"time left {clock(left_s)}"
        self._bars.update(self._task, completed=done, loss=loss, terms=terms, speed=speed, left=left)
        if row and not self._console.is_terminal:
            self.say(f"{done}/{self._iterations} {', '.join([' '.join([loss, *terms]), speed, left])}")

    def doing(self, what: str) -> None:
        """Shows what the run is at."""
        if self._bars is not None:
            self._bars.update(self._task, description=what)

    def say(self, line: str) -> None:
        """Writes a line above the bar."""
        if self._console is not None:
            self._console.print(line, markup=False, highlight=False)


def clock(seconds: float | None) -> str:
    """A duration as m:ss or h:mm:ss.

    Example:
        >>> clock(75.2), clock(3600), clock(None)
        ('1:15', '1:00:00', '--:--')
    """
    if seconds is None:
        return "--:--"
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _mean(values: deque[float]) -> float:
    return sum(values) / len(values) if values else 0.0
