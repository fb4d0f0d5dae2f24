"""`sparseinst` and its commands."""

import errno
import io
import logging
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sparseinst.cli.batch import batch
from sparseinst.cli.benchmark import benchmark
from sparseinst.cli.cache import cache
from sparseinst.cli.convert import convert
from sparseinst.cli.data import data
from sparseinst.cli.evaluate import evaluate
from sparseinst.cli.export import export
from sparseinst.cli.info import info
from sparseinst.cli.models import models
from sparseinst.cli.options import SettingsCommand
from sparseinst.cli.predict import predict
from sparseinst.cli.push import push
from sparseinst.cli.runs import runs
from sparseinst.cli.serve import serve
from sparseinst.cli.telling import say, say_error, speak
from sparseinst.cli.train import train
from sparseinst.errors import InputError
from sparseinst.version import __version__

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it."""
_OF_THE_MACHINE = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT, errno.ENOTDIR,
    errno.EFBIG, errno.ENAMETOOLONG, errno.ENODEV,
})  # fmt: skip
"""Of errors that are no defect of this package: the disk is full, may not be written, or has gone away."""
LEFT_OUT = 1
"""Exit code when the work was done, but without something in the data that was no good."""


class Commands(TyperGroup):
    """Turns the user's mistakes into one line and an exit code; a defect of this package keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            result = super().invoke(ctx)
        except InputError as error:
            say_error(f"error: {error}")
            raise typer.Exit(2) from None
        except OSError as error:
            if error.errno not in _OF_THE_MACHINE:
                raise
            where = f"{error.filename}: " if error.filename else ""
            say_error(f"error: {where}expected to read and write there, got {error.strerror}: make room, or allow it")
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            say_error("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        if _WARNINGS.left_out:
            raise typer.Exit(LEFT_OUT)
        return result


class _Warnings(logging.Handler):
    """Shows the package's warnings to the user, above a progress bar if there is one.

    Attributes:
        left_out: whether one of them said that something in the data was left out.
    """

    left_out = False

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one warning."""
        self.left_out |= hasattr(record, "left_out")
        say(f"{record.levelname.lower()}: {record.getMessage()}", style="yellow", stderr=True)


_WARNINGS = _Warnings(logging.WARNING)

app = typer.Typer(
    cls=Commands, name="sparseinst", no_args_is_help=True, pretty_exceptions_enable=False,
    help="Real-time instance segmentation: train on your own images, measure, predict.",
)  # fmt: skip
for _command in (train, runs, evaluate, predict, serve, models, info, convert, export, push, benchmark, cache):
    app.command(cls=SettingsCommand)(_command)
app.add_typer(data, name="data")
app.add_typer(batch, name="batch")


def main() -> None:
    """Entry point of the `sparseinst` command."""
    app(prog_name="sparseinst")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"sparseinst {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name need not be text that this terminal can show
        sys.stdout.reconfigure(errors="backslashreplace")
    speak()
    logger = logging.getLogger("sparseinst")
    _WARNINGS.left_out = False
    if _WARNINGS not in logger.handlers:
        logger.addHandler(_WARNINGS)
