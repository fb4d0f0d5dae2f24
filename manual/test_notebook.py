"""The notebook runs, and the one that is kept is this one."""

import nbformat

from notebook import NOTEBOOK, executed
from prepared import ROOT


def test_the_notebook_runs_and_is_the_one_that_is_kept() -> None:
    """Its cells are the same, and each prints as many things; what exactly, rounding decides."""
    kept, fresh = nbformat.read(NOTEBOOK, as_version=4), executed()
    for old, new in zip(kept.cells, fresh.cells, strict=True):
        assert old.source == new.source
        assert len(old.get("outputs", ())) == len(new.get("outputs", ()))
        assert str(ROOT) not in str(old.get("outputs", ""))
