"""`sparseinst data check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparseinst.cli.early import check_model, check_paths
from sparseinst.cli.options import output_file
from sparseinst.cli.telling import console, count, print_table, say, say_found

if TYPE_CHECKING:
    from sparseinst.data.check.findings import Finding

Data = Annotated[Path, typer.Argument(metavar="DATA", help="A data set of any format: a folder or file, as `train`.")]
_STYLES = {"error": "red", "warning": "yellow", "note": ""}


def check(
    data: Data,
    model: Annotated[
        str,
        typer.Option(metavar="NAME", help="The network that is meant: what size it sees objects at, and how many."),
    ] = "lite",
    page: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with charts and pictures of all of it.")
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write what can be kept: annotation files over the images where they lie."),
    ] = None,
) -> None:
    """Look a data set through: images, duplicates, leaks between parts, records, masks, classes, sizes.

    The exit code is 1 where something stops training or loses objects.
    """
    check_paths(data)
    check_model(model)
    output_file("--page", page, page=True)
    from sparseinst.data.check.checkup import check_data
    from sparseinst.data.check.fixing import write_fixed
    from sparseinst.data.formats.resolving import resolve_data
    from sparseinst.files import atomic
    from sparseinst.review.check_page import check_page
    from sparseinst.zoo.models import preset_of

    source = resolve_data(data)
    say_found(source)
    settings = preset_of(model).model
    done = 0
    with console(stderr=True).status("reading images ...") as status:

        def tell() -> None:
            nonlocal done
            done += 1
            status.update(f"reading images ... {done}")

        checkup = check_data(source, settings, on_image=tell)
    _print(checkup.findings)
    for part in checkup.parts:
        if part.dataset is not None:
            images, objects = count(len(part.dataset), "image"), count(part.dataset.instances, "object")
            say(f"{part.name}: {images} and {objects} can be used, {len(part.dataset.classes)} classes")
    for line in checkup.advice:
        say(line)
    if page is not None:
        with atomic(page) as temporary:
            temporary.write_text(check_page(checkup, settings), encoding="utf-8", errors="backslashreplace")
        say(f"page: {page}")
    if fix is not None:
        say(f"written: {write_fixed(checkup, fix)} (images stay where they are)")
    if checkup.errors:
        raise typer.Exit(1)


def _print(findings: "tuple[Finding, ...]") -> None:
    from sparseinst.data.check.findings import KINDS

    if not findings:
        say("nothing was found to be wrong")
        return
    rows = []
    for finding in findings:
        first = finding.spots[0]
        rows.append((finding.level, finding.kind, finding.part, str(len(finding.spots)),
                     ": ".join(filter(None, (first.image, first.text)))))  # fmt: skip
    print_table(("", "what", "part", "times", "first"), rows)
    for kind in dict.fromkeys(finding.kind for finding in findings):
        entry = KINDS[kind]
        if entry.level != "note":
            done = f" (--fix: {entry.fix})" if entry.fix else ""
            say(f"{kind}: {entry.advice}{done}", style=_STYLES[entry.level])
