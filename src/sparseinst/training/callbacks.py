"""What may listen to a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from sparseinst.recipe import Preset

if TYPE_CHECKING:
    from sparseinst.evaluation.figures import Evaluation

End = Literal["end", "time", "patience", "signal", "error"]
"""Why a run is over: its iterations are done, its time is up, its AP no longer rises, Ctrl-C or SIGTERM, an error."""


class Callback(Protocol):
    """Listens to a run, in its first process alone. A subclass overrides what it needs; the rest does nothing.

    An exception raised in here ends the run, which can be resumed from what was saved last.
    """

    def on_start(self, folder: Path, preset: Preset) -> None:
        """Before the first step, also of a resumed run."""
        return

    def on_row(self, row: Mapping[str, float]) -> None:
        """After each row of metrics.csv: "iteration", "loss", its terms, "lr" and so on."""
        return

    def on_evaluation(self, row: Mapping[str, float], evaluation: "Evaluation") -> None:
        """After each row of evaluation.csv ("iteration", "ap", ..), with all that was measured."""
        return

    def on_end(self, reason: End) -> None:
        """After everything is saved, or when an error ends the run."""
        return
