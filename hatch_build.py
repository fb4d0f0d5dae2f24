"""Build hook: puts ONNX Runtime for browsers into the wheel where npm is; without it, the web export fetches it."""

import runpy
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path(__file__).parent / "src"


class OrtWeb(BuildHookInterface):  # type: ignore[misc]
    """Fetches what `artifacts` in pyproject.toml then adds to the wheel; an editable install needs none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is built."""
        if version == "editable":
            return
        sys.path.insert(0, str(SOURCE))
        # alone: its package imports what is not installed here
        ort_web = runpy.run_path(str(SOURCE / "sparseinst" / "web" / "ort.py"))
        folder = ort_web["BUNDLED"]
        if ort_web["is_complete"](folder):
            return
        try:
            ort_web["fetch_runtime"](folder)
        except ort_web["InputError"] as error:
            self.app.display_warning(f"the wheel comes without the files of the web export: {error}")
