"""`sparseinst runs`."""

from pathlib import Path
from typing import Annotated

import typer

from sparseinst.cli.early import check_paths
from sparseinst.cli.options import output_file
from sparseinst.cli.telling import count, print_table, say


def runs(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="A folder of runs, or a run.", show_default=True)
    ] = Path("runs"),
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The page; without it, index.html in the folder.")
    ] = None,
) -> None:
    """Compare training runs: a table here, and their curves on one page."""
    check_paths(folder)
    from sparseinst.files import atomic
    from sparseinst.training.compare.page import COLUMNS, runs_page, table_rows
    from sparseinst.training.compare.reading import read_runs

    found = read_runs(folder)
    page = folder / "index.html" if out is None else out
    output_file("--out", page)
    with atomic(page) as temporary:
        temporary.write_text(
            runs_page(f"{count(len(found), 'run')} in {folder}", found), encoding="utf-8", errors="backslashreplace"
        )
    print_table(COLUMNS, table_rows(found))
    say(f"curves: {page}")
