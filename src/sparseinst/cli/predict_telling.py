"""What `sparseinst predict` tells about images."""

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sparseinst.cli.telling import console, count, print_table, say, say_error, tells_each
from sparseinst.errors import listed

if TYPE_CHECKING:
    from sparseinst.config.preprocess import PreprocessConfig
    from sparseinst.inference.outcome import ImageResult, RunSummary
    from sparseinst.runtime.backends import Backend
    from sparseinst.structures import Instances

_CROWD = 50
"""Objects in one image from which on looking closer is advised."""
_SHRUNK = 3.0
"""How many times smaller than it is an image may be seen without a word."""


class ImagesBar:
    """How far a run over images is, on a terminal: images, and rows of tiles of a very large one."""

    def __init__(self) -> None:
        shown = console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=shown,
            transient=True, disable=not shown.is_terminal,
        )  # fmt: skip
        self._images = self._bars.add_task("images", total=None, visible=False)
        self._rows = self._bars.add_task("rows of tiles", total=None, visible=False)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def row(self, path: Path, done: int, rows: int) -> None:
        """Shows how many rows of tiles of an image are done."""
        self._bars.update(
            self._rows, description=f"{path.name}, rows of tiles", completed=done, total=rows, visible=True
        )

    def done(self, result: "ImageResult") -> None:
        """Shows that an image is done."""
        self._bars.update(self._rows, visible=False)
        if result.total > 1:
            self._bars.update(self._images, completed=result.position, total=result.total, visible=True)


class Shrunk:
    """Counts crowded and very large images that a network saw smaller than they are."""

    def __init__(self, preprocess: "PreprocessConfig") -> None:
        self.preprocess = preprocess
        self.crowds, self.large, self.most = 0, 0, 0.0

    def see(self, instances: "Instances") -> None:
        """Looks at what was found in an image."""
        from sparseinst.inference.scaling import shrunk_by

        factor = shrunk_by(instances.size_hw, self.preprocess)
        if factor > 1 and len(instances) >= _CROWD:
            self.crowds += 1
        elif factor >= _SHRUNK:
            self.large += 1
            self.most = max(self.most, factor)

    def tell(self) -> None:
        """Tells of them, if there were any."""
        from sparseinst.config.preprocess import ShortSideConfig
        from sparseinst.data.sizes import SMALL_PX

        if not isinstance(self.preprocess, ShortSideConfig):
            return
        closer = f"--tile {max(32, self.preprocess.short_px * 2 // 3)} looks closer"
        if self.crowds:
            images = count(self.crowds, "crowded image")
            say(f"{images} shrunk to fit the network: {closer} and finds more, in more time.", style="yellow")
        if self.large:
            say(
                f"{count(self.large, 'large image')} shrunk up to {self.most:.1f} times to fit the network, which "
                f"hardly sees objects of less than {SMALL_PX * self.most:.0f} px then: {closer}, in more time.",
                style="yellow",
            )


def tell_filled(images: int, network: "Backend", *, exported: bool, most: int | None) -> None:
    """Tells that there was no room for more, and how to make some."""
    from sparseinst.config.network import SeedsConfig

    has = network.config.most_instances
    places = most if has is None or (most is not None and most < has) else has
    if isinstance(network.config.decoder, SeedsConfig) and exported and places != most:
        advice = "export the network again with a larger --max-instances"
    elif isinstance(network.config.decoder, SeedsConfig) or places == most:
        advice = "raise --max-instances"
    else:
        advice = "look at parts of the image with --tile"
    shown = "their places" if places is None else f"{places} places"
    say(f"{count(images, 'image')} filled all {shown}: there may be more objects; {advice}", style="yellow")


def tell_result(result: "ImageResult", nothing: str, sizes: str = "") -> None:
    """Tells what was found in one image, and something of the size of its objects: a table of the only image of a run,
    a line of each of several where that is asked for, and always that one was skipped.
    """
    head = f"[{result.position}/{result.total}]"
    if result.instances is None:
        say_error(f"{head} skipped: {result.error}")
        return
    is_only = result.total == 1 and result.pages == 1
    if not (is_only or tells_each()):
        return
    name = result.name if result.page is None else f"{result.name} of {result.pages}"
    name += f" in {result.tiles} tiles" if result.tiles > 1 else ""
    number = len(result.instances)
    if not number:
        say(f"{head} {name}: {nothing}")
        return
    say(f"{head} {name}: {count(number, 'instance')}{f', {sizes}' if sizes else ''}")
    if is_only:
        print_table(*result.table())


def close_report(report: "RunSummary") -> None:
    """Tells what was done in all, where to look, and what was not read."""
    from sparseinst.data.sources import names_of

    skipped, now = len(report.failures), report.images + len(report.failures) - report.resumed
    found = ", ".join(f"{name} {count}" for name, count in report.per_class.items())
    parts = [
        count(report.images, "image"),
        count(report.instances, "instance") + (f" ({found})" if found else ""),
        f"{report.seconds / max(1, now):.2f} s per image",
    ]
    if report.resumed:
        parts[1:1] = [f"{report.resumed} of them by an earlier run"]
    if skipped:
        pages = sum(failure.page is not None for failure in report.failures)
        kinds = [(skipped - pages, "broken file"), (pages, "broken page")]
        parts[1:1] = [f"{count(number, noun)} skipped" for number, noun in kinds if number]
    say(", ".join(parts) + f"; look at {report.out}", style="bold")
    if report.results is not None:
        say(f"COCO file: {report.results}")
    if report.unread:
        say(f"{count(len(report.unread), 'file')} not read: {listed(names_of(report.unread))}", style="yellow")
    if report.unread_images:
        images = listed(names_of(report.unread_images))
        say_error(f"images in formats that are not read from a folder: {images}; convert them to TIFF or PNG")
