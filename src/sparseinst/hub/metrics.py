"""Figures for a model card, as they are given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparseinst.errors import InputError
from sparseinst.hub.card import figures_of
from sparseinst.parsing import read_json


def given_metrics(metrics: Mapping[str, Any] | str | Path | None, measured_on: str | None) -> Mapping[str, Any] | None:
    """Figures of an evaluation, read if they are a file; None of None.

    Args:
        metrics: the figures, or a JSON file of them.
        measured_on: name of the images that they were measured on.

    Raises:
        InputError: there is no such file, no figure in it, or no name.
    """
    if isinstance(metrics, str | Path):
        content = read_json(Path(metrics), expected="a JSON file of figures")
        if not isinstance(content, dict):
            raise InputError(f"{metrics}: expected an object of figures: give what sparseinst evaluate --json writes")
        metrics = content
    if metrics is not None and not (measured_on and figures_of(metrics)):
        raise InputError(
            "metrics: expected figures such as ap and the name of the images they were measured on, got "
            f"{', '.join(map(str, metrics)) or 'nothing'} and {measured_on!r}: give both (what sparseinst evaluate "
            "--json writes, and --measured-on NAME)"
        )
    return metrics
