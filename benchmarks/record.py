"""Where a figure comes from: written beside every result."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from sparseinst.files import atomic
from sparseinst.runtime.origin import origin

RESULTS = Path(__file__).parent / "results"


def command_line() -> str:
    """What was typed, with relative paths."""
    parts = (os.path.relpath(part) if part and Path(part).exists() else part for part in sys.argv)
    return shlex.join(["python", *parts])


def write_result(name: str, figures: dict[str, Any]) -> Path:
    """Writes figures with device, versions, commit and command to benchmarks/results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    with atomic(path) as temporary:
        content = {"origin": {**origin(), "command": command_line()}, "figures": figures}
        temporary.write_text(json.dumps(content, indent=2) + "\n")
    return path
