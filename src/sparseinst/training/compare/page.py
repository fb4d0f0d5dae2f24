"""Runs beside each other as one HTML page, which opens from disk and refers to nothing."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from sparseinst.training.compare.chart import Series, chart
from sparseinst.training.compare.reading import RunRecord, differences
from sparseinst.training.progress import clock

_COLORS = ("#2563eb", "#d97706", "#0f9d7a", "#c0328a", "#7c5cd6", "#b45309", "#0891b2", "#64748b")
_MOST = 6
"""Differing settings that a row lists."""
COLUMNS = (
    "run", "network", "iterations", "best AP", "at", "AP50", "AP75", "loss", "images/s", "time", "what differs",
)  # fmt: skip


def table_rows(runs: Sequence[RunRecord]) -> list[tuple[str, ...]]:
    """A row for each run, in the order of `COLUMNS`."""
    return [_row(run, differing) for run, differing in zip(runs, differences(runs), strict=True)]


def runs_page(title: str, runs: Sequence[RunRecord]) -> str:
    """A whole HTML document: a table of the runs, and their AP and loss over the iterations."""
    style = files("sparseinst.evaluation.report").joinpath("page.css").read_text(encoding="utf-8")
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
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}{colors}"
        "td.text { white-space: normal; min-width: 12ch }</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{_table(runs)}\n"
        f'<p class="legend">{keys}</p><div class="charts">{"".join(charts)}</div>\n</body>\n</html>\n'
    )


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
        _some(differing),
    )  # fmt: skip


def _some(differing: dict[str, str]) -> str:
    """A few settings, then how many more there are: those of two networks would fill pages."""
    told = [f"{name} {value}" for name, value in differing.items()]
    return ", ".join(told[:_MOST]) + (f" and {len(told) - _MOST} more" if len(told) > _MOST else "")


def _table(runs: Sequence[RunRecord]) -> str:
    text = {"run", "network", "what differs"}
    head = "".join(f'<th class="{"text" if name in text else ""}">{escape(name)}</th>' for name in COLUMNS)
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td class="{"text" if name in text else ""}">{escape(cell)}</td>'
            for name, cell in zip(COLUMNS, row, strict=True)
        )
        + "</tr>"
        for row in table_rows(runs)
    )
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


def _ap(number: int, run: RunRecord) -> Series:
    shown = [row for row in run.evaluations if row["ap"] >= 0]  # -1: nothing to average over
    return Series(run.folder.name, _color(number), [r["iteration"] for r in shown], [r["ap"] for r in shown])


def _loss(number: int, run: RunRecord) -> Series:
    shown = [row for row in run.metrics if row["loss"] > 0]
    return Series(run.folder.name, _color(number), [r["iteration"] for r in shown], [r["loss"] for r in shown])


def _color(number: int) -> int:
    return number % len(_COLORS)
