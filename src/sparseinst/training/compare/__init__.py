"""Runs beside each other: a table and their curves on one page."""

from sparseinst.training.compare.page import COLUMNS, runs_page, table_rows
from sparseinst.training.compare.reading import RunRecord, differences, read_runs

__all__ = ["COLUMNS", "RunRecord", "differences", "read_runs", "runs_page", "table_rows"]
