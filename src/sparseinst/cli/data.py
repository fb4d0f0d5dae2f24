"""`sparseinst data` and its commands."""

import typer

from sparseinst.cli.data_check import check
from sparseinst.cli.data_model import annotate, errors
from sparseinst.cli.data_sets import convert, show, split, stats
from sparseinst.cli.data_synth import synth
from sparseinst.cli.options import SettingsCommand

data = typer.Typer(no_args_is_help=True, help="Make, convert, check, show, split and correct data sets.")
for _command in (convert, check, show, stats, split, errors, annotate, synth):
    data.command(cls=SettingsCommand)(_command)
