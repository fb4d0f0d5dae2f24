"""What `sparseinst batch` tells."""

import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, TextColumn

from sparseinst.cli.telling import console, count, print_table, say, say_error
from sparseinst.errors import typed

if TYPE_CHECKING:
    from sparseinst.scale.job import Plan
    from sparseinst.scale.job import Progress as Done
    from sparseinst.scale.report import BatchReport

_EVERY_S = 30.0
"""Between lines about the progress where there is no terminal for a bar."""


class ProgressBar:
    """How far a job is: a bar on a terminal, else a line now and then, on standard error."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._bar = Progress(BarColumn(), TextColumn("{task.description}"), console=self._console, transient=True)
        self._task = self._bar.add_task("opening the network ...", total=1.0)
        self._told = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def tell(self, done: "Done") -> None:
        """Shows how far it is."""
        text = progress_text(done)
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done.share, description=text)
        elif time.monotonic() - self._told >= _EVERY_S:
            self._told = time.monotonic()
            say(text, stderr=True)


def progress_text(done: "Done") -> str:
    """Share, images, images a second, time left, failures."""
    parts = [f"{done.share:.1%}", f"{done.already + done.images:,} images", f"{done.rate:.1f} images/s"]
    if done.seconds_left is not None:
        parts.append(f"{_duration(done.seconds_left)} left")
    parts.append(f"{done.failed:,} failed")
    return ", ".join(parts)


def close_batch(done: "Done", out: Path) -> None:
    """Tells what was done in all."""
    images = done.already + done.images
    parts = [count(images, "image"), count(done.instances, "instance")]
    if done.already:
        parts.insert(1, f"{done.already:,} of them by earlier calls")
    if done.images:
        parts.append(f"{done.rate:.1f} images/s")
    say(f"{', '.join(parts)}; rows in {out / 'rows'}", style="bold")
    if done.failed:
        say_error(f"{count(done.failed, 'image')} failed: sparseinst batch report {typed(out)}")


def tell_plan(plan: "Plan") -> None:
    """Tells what there is to do."""
    kind, files = plan.listing.kind, len(plan.listing.names)
    extent = sum(piece.extent for piece in plan.pieces)
    inside = f"{extent / 1e6:,.1f} MB" if kind == "tar" else count(extent, "image")
    what = {"images": "image file", "tar": "tar file", "parquet": "Parquet file"}[kind]
    say(f"{count(files, what)} under {plan.listing.root}; {inside} in {count(len(plan.pieces), 'piece')} of this part")
    left = sum(1 for _ in plan.left)
    done = sum(written.facts.images for written in plan.written)
    say(f"{count(done, 'image')} done by earlier calls, {count(left, 'piece')} left")
    say(
        f"model {plan.identity['model']}, weights {plan.identity['model_sha256'][:16]}; nothing has been done",
        style="bold",
    )


def tell_report(report: "BatchReport", folder: Path) -> None:
    """Prints a report."""
    say(
        f"{count(report.images, 'image')}, {report.failed} failed, {count(report.instances, 'instance')}, "
        f"{report.seconds_per_image:.3f} s per image",
        style="bold",
    )
    if report.classes:
        rows = [
            (item.name, str(item.instances), str(item.images), f"{item.median_area:.0f}", _bars(item.scores))
            for item in report.classes
        ]
        print_table(("class", "instances", "images", "median area", "scores 0 .. 1"), rows)
    if report.failures:
        print_table(("images", "failed because", "such as"), [(str(n), why, like) for why, n, like in report.failures])
    say(f"figures: {folder / 'report.json'}")
    if report.sheet is not None:
        say(f"contact sheet: {report.sheet}")


def _bars(counts: list[int]) -> str:
    """A histogram in one line."""
    most = max(counts) or 1
    return "".join(" ▁▂▃▄▅▆▇█"[-(-8 * number // most)] for number in counts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
