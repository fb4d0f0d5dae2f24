"""What a run leaves to read: rows of numbers, TensorBoard events, and a plot of the curves."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sparseinst.errors import InputError
from sparseinst.files import atomic

FIGURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar")
EVALUATIONS = ("iteration", *FIGURES, "seconds")


def metric_columns(losses: Sequence[str]) -> tuple[str, ...]:
    """Columns of metrics.csv for a run whose weighted loss terms are called so."""
    return ("iteration", "epoch", "lr", "loss", *losses, "surplus_targets", "images_per_s", "seconds")


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
            writer.writerows({**row, "iteration": int(row["iteration"])} for row in kept)

    def add(self, row: Mapping[str, float]) -> None:
        """Appends a row; it is in the file when this returns."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns).writerow(row)


def read_table(path: Path) -> list[dict[str, float]]:
    """Rows of a table; an incomplete last one (of a process that was killed) is left out."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values()]
    return [{name: float(value) for name, value in row.items()} for row in rows if all(row.values())]


class RunLog:
    """The logs of one run: metrics.csv, evaluation.csv, TensorBoard events and curves.png in its folder.

    Args:
        folder: folder of the run.
        losses: names of the run's weighted loss terms.
        last_iteration: what was logged later is cut off (resumed runs); 0 starts anew.

    Raises:
        InputError: TensorBoard or matplotlib is not installed.
    """

    def __init__(self, folder: Path, losses: Sequence[str], *, last_iteration: int = 0) -> None:
        try:
            import matplotlib  # noqa: F401
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(f"training logs need the extra: pip install 'sparseinst[train]' ({error})") from error
        self.folder = folder
        self.metrics = CsvLog(folder / "metrics.csv", metric_columns(losses), last_iteration=last_iteration)
        self.evaluations = CsvLog(folder / "evaluation.csv", EVALUATIONS, last_iteration=last_iteration)
        self.events: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=last_iteration + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.events.close()

    def step(self, row: Mapping[str, float]) -> None:
        """Logs the losses of a stretch of training."""
        self.metrics.add(row)
        self._scalars("train", row)

    def evaluation(self, row: Mapping[str, float]) -> None:
        """Logs the figures of an evaluation."""
        self.evaluations.add(row)
        self._scalars("val", row)

    def plot(self) -> None:
        """Draws the curves so far."""
        plot_curves(self.folder / "curves.png", read_table(self.metrics.path), read_table(self.evaluations.path))

    def _scalars(self, group: str, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name != "iteration":
                self.events.add_scalar(f"{group}/{name}", value, int(row["iteration"]))


def plot_curves(path: Path, metrics: Sequence[Mapping[str, float]], evaluations: Sequence[Mapping[str, float]]) -> None:
    """Draws all losses of the rows (left) and average precision (right) over the iterations to a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)  # a canvas of its own: pyplot's state belongs to the user
    losses, precision = figure.subplots(1, 2)
    for name in [name for name in (metrics[0] if metrics else ("loss",)) if name.startswith("loss")]:
        style = {"color": "black", "linewidth": 1.8} if name == "loss" else {"linewidth": 1.0}
        losses.plot([row["iteration"] for row in metrics], [row[name] for row in metrics], label=name, **style)
    losses.set(title="training loss (weighted)", xlabel="iteration", yscale="log" if metrics else "linear")
    for name in ("ap", "ap50", "ap75"):
        shown = [row for row in evaluations if row[name] >= 0]  # -1: nothing to average over
        precision.plot(
            [row["iteration"] for row in shown], [row[name] for row in shown], label=name, marker="o", markersize=3
        )
    precision.set(title="validation mask AP", xlabel="iteration", ylim=(0, None))
    for axes in (losses, precision):
        axes.grid(alpha=0.3)
        axes.legend()
    with atomic(path) as temporary:
        canvas.print_figure(temporary, dpi=110, format="png")
