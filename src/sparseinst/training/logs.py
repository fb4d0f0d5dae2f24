"""What a run leaves to read: rows of numbers, and a plot of the curves."""

import csv
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparseinst.errors import InputError
from sparseinst.files import atomic
from sparseinst.parsing import read_text, readable
from sparseinst.training.callbacks import Callback, End

if TYPE_CHECKING:
    from sparseinst.evaluation.figures import Evaluation

FIGURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar")
EVALUATIONS = ("iteration", *FIGURES, "seconds")
METRICS_FILE, EVALUATION_FILE, CURVES = "metrics.csv", "evaluation.csv", "curves.png"
_PLOT_EVERY_S = 30.0
_DIGITS = 6
"""Significant digits of what is written."""
_FEW = 20
"""Up to this many points each is marked, for a line of one point cannot be seen."""


def metric_columns(losses: Sequence[str]) -> tuple[str, ...]:
    """Columns of metrics.csv for a run whose weighted loss terms are called so."""
    return ("iteration", "epoch", "lr", "loss", *losses, "surplus_targets", "images_per_s", "seconds")


def _rounded(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.{_DIGITS}g}"


class CsvLog:
    """A CSV file that grows by a row at a time, each with an "iteration".

    Args:
        path: the file; started anew, or continued after `last_iteration`.
        columns: names of the columns.
        last_iteration: rows of later iterations are cut off; 0 starts anew.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, last_iteration: int) -> None:
        self.path, self.columns = path, tuple(columns)
        kept = [row for row in read_table(path) if row["iteration"] <= last_iteration] if last_iteration else []
        with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows({name: _rounded(value) for name, value in row.items()} for row in kept)

    def add(self, row: Mapping[str, float]) -> None:
        """Appends a row, rounded to 6 significant digits; it is in the file when this returns."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns).writerow({name: _rounded(value) for name, value in row.items()})


def read_table(path: Path) -> list[dict[str, float]]:
    """Rows of a table; an incomplete last one (of a process that was killed) is left out.

    Raises:
        InputError: it is no table of numbers.
    """
    if not path.is_file():
        return []
    expected = "a table of numbers under their names"
    rows = list(csv.DictReader(read_text(path, expected=expected).splitlines(keepends=True)))
    whole = [row for row in rows if None not in row.values() and None not in row and all(row.values())]
    with readable(path, expected=expected, hint="remove the file, or the line"):
        return [{name: float(value) for name, value in row.items()} for row in whole]


class RunLog(Callback):
    """The logs of one run in its folder: metrics.csv, evaluation.csv and curves.png.

    Args:
        folder: folder of the run.
        losses: names of the run's weighted loss terms.
        last_iteration: what was logged later is cut off (resumed runs); 0 starts anew.

    Raises:
        InputError: matplotlib is not installed.
    """

    def __init__(self, folder: Path, losses: Sequence[str], *, last_iteration: int = 0) -> None:
        try:
            import matplotlib  # noqa: F401
        except ImportError as error:
            raise InputError(f"training logs need the extra: pip install 'sparseinst[train]' ({error})") from error
        self.folder = folder
        self.metrics = CsvLog(folder / METRICS_FILE, metric_columns(losses), last_iteration=last_iteration)
        self.evaluations = CsvLog(folder / EVALUATION_FILE, EVALUATIONS, last_iteration=last_iteration)
        self._plotted_s = -math.inf

    def on_row(self, row: Mapping[str, float]) -> None:
        """Logs the losses of a stretch of training; the curves follow, but not at every row of quick steps."""
        self.metrics.add(row)
        if time.monotonic() - self._plotted_s > _PLOT_EVERY_S:
            self.plot()

    def on_evaluation(self, row: Mapping[str, float], evaluation: "Evaluation") -> None:
        """Logs the figures of an evaluation."""
        self.evaluations.add(row)
        self.plot()

    def on_end(self, reason: End) -> None:
        """Draws the curves of the whole run."""
        self.plot()

    def plot(self) -> None:
        """Draws the curves so far."""
        plot_curves(self.folder / CURVES, read_table(self.metrics.path), read_table(self.evaluations.path))
        self._plotted_s = time.monotonic()


def row_due(iteration: int, every: int) -> bool:
    """Whether an iteration ends a row of metrics.csv: every so many do, and of those before some, so that a run shows.

    Example:
        >>> [iteration for iteration in range(1, 61) if row_due(iteration, 20)]
        [1, 2, 5, 10, 20, 40, 60]
    """
    return iteration % every == 0 or (iteration < every and f"{iteration}".rstrip("0") in ("1", "2", "5"))


def plot_curves(path: Path, metrics: Sequence[Mapping[str, float]], evaluations: Sequence[Mapping[str, float]]) -> None:
    """Draws all losses of the rows (left) and average precision (right) over the iterations to a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)  # a canvas of its own: pyplot's state belongs to the user
    losses, precision = figure.subplots(1, 2)
    _plot_losses(losses, metrics)
    _plot_precision(precision, evaluations)
    last = max((row["iteration"] for row in (*metrics, *evaluations)), default=1)
    for axes in (losses, precision):
        axes.set_xlim(0, 1.03 * last)
    with atomic(path) as temporary:
        canvas.print_figure(temporary, dpi=110, format="png")


def _plot_losses(axes: Any, metrics: Sequence[Mapping[str, float]]) -> None:
    from matplotlib.ticker import LogLocator

    axes.set(title="training loss (weighted)", xlabel="iteration", yscale="log" if metrics else "linear")
    for name in [name for name in (metrics[0] if metrics else ()) if name.startswith("loss")]:
        style = {"color": "black", "linewidth": 1.8} if name == "loss" else {"linewidth": 1.0}
        _line(axes, metrics, name, **style)
    if metrics:
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    _finish(axes, "no step yet")


def _plot_precision(axes: Any, evaluations: Sequence[Mapping[str, float]]) -> None:
    axes.set(title="validation mask AP", xlabel="iteration")
    for name in ("ap", "ap50", "ap75"):
        shown = [row for row in evaluations if row[name] >= 0]  # -1: nothing to average over
        if shown:
            _line(axes, shown, name)
    axes.set_ylim(0, None)
    _finish(axes, "no evaluation yet")


def _line(axes: Any, rows: Sequence[Mapping[str, float]], name: str, **style: Any) -> None:
    marker = "o" if len(rows) <= _FEW else None
    axes.plot([row["iteration"] for row in rows], [row[name] for row in rows], label=name, marker=marker,
              markersize=3, **style)  # fmt: skip


def _finish(axes: Any, empty: str) -> None:
    axes.grid(alpha=0.3)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if axes.lines:
        axes.legend()
    else:
        axes.text(0.5, 0.5, empty, ha="center", va="center", color="grey", transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
