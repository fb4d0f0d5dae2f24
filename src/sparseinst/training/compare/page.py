"""Runs beside each other as one HTML page, which opens from disk and refers to nothing."""

from collections.abc import Sequence
from html import escape

from sparseinst.drawing.html import document, table
from sparseinst.errors import listed
from sparseinst.training.compare.chart import Series, chart
from sparseinst.training.compare.reading import RunRecord, differences
from sparseinst.training.progress import clock

_COLORS = ("#2563eb", "#d97706", "#0f9d7a", "#c0328a", "#7c5cd6", "#b45309", "#0891b2", "#64748b")
_MOST = 6
"""Differing settings that a row lists."""
COLUMNS = (
    "run", "network", "iterations", "best AP", "at", "AP50", "AP75", "loss", "images/s", "time", "what differs",
)  # fmt: skip


_TEXTS = ("run", "network", "what differs")


def table_rows(runs: Sequence[RunRecord]) -> list[tuple[str, ...]]:
    """A row for each run, in the order of `COLUMNS`."""
    return [_row(run, differing) for run, differing in zip(runs, differences(runs), strict=True)]


def runs_page(title: str, runs: Sequence[RunRecord]) -> str:
    """A whole HTML document: a table of the runs, and their AP and loss over the iterations."""
    colors = "".join(
        f".line.r{i} {{ stroke: {color} }} circle.r{i} {{ fill: {color} }} i.r{i} {{ background: {color} }}\n"
        for i, color in enumerate(_COLORS)
    )
    charts = (
        chart("validation mask AP", [_ap(i, run) for i, run in enumerate(runs)], x_label="iteration"),
        chart(
            "training loss (weighted)", [_loss(i, run) for i, run in enumerate(runs)], x_label="iteration",
            logarithmic=True,
        ),
    )  # fmt: skip
    keys = "".join(f'<span><i class="r{_color(i)}"></i>{escape(run.folder.name)}</span>' for i, run in enumerate(runs))
    rows = table(COLUMNS, table_rows(runs), texts=[COLUMNS.index(name) for name in _TEXTS])
    lines = f'<p class="legend">{keys}</p><div class="charts">{"".join(charts)}</div>'
    return document(title, (rows, lines), style=colors + "td.text { white-space: normal; min-width: 12ch }")


def _row(run: RunRecord, differing: dict[str, str]) -> tuple[str, ...]:
    best, last = run.best, run.metrics[-1] if run.metrics else None
    figures = ("-", "-", "-", "-") if best is None else (
        f"{best['ap']:.4f}", f"{best['iteration']:.0f}", f"{best['ap50']:.4f}", f"{best['ap75']:.4f}"
    )  # fmt: skip
    rest = ("-", "-", "-") if last is None else (
        f"{last['loss']:.3f}", f"{last['images_per_s']:.3g}", clock(last["seconds"])
    )  # fmt: skip
    done = f"{run.iterations} of {run.preset.recipe.iterations}{', running' * run.running}"
    return (
        run.folder.name, run.facts.network or run.preset.description, done, *figures, *rest,
        listed([f"{name} {value}" for name, value in differing.items()], most=_MOST),
    )  # fmt: skip


def _ap(number: int, run: RunRecord) -> Series:
    shown = [row for row in run.evaluations if row["ap"] >= 0]  # -1: nothing to average over
    return Series(run.folder.name, _color(number), [r["iteration"] for r in shown], [r["ap"] for r in shown])


def _loss(number: int, run: RunRecord) -> Series:
    shown = [row for row in run.metrics if row["loss"] > 0]
    return Series(run.folder.name, _color(number), [r["iteration"] for r in shown], [r["loss"] for r in shown])


def _color(number: int) -> int:
    return number % len(_COLORS)
