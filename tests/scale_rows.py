"""The rows of a batch result, for tests."""

from pathlib import Path
from typing import Any

from sparseinst.scale.results import read_rows


def rows_of(out: Path) -> list[dict[str, Any]]:
    """The rows of a result, without what differs from run to run."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in read_rows(out)]
