"""What a run gives back."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparseinst.data.formats.source import Split
from sparseinst.modeling.model import SparseInst
from sparseinst.training.callbacks import End
from sparseinst.training.folder import BEST

if TYPE_CHECKING:
    from sparseinst.evaluation.figures import Evaluation


@dataclass(frozen=True)
class TrainResult:
    """What a run gave.

    Args:
        out: folder of the run.
        model: the network at the end (averaged weights), in eval mode on the training device.
        iterations: iterations done.
        ended: why it is over: its iterations are done ("end"), its time is up ("time"), its AP no longer rises
            ("patience").
        seconds: time spent, over all resumptions.
        evaluation: last evaluation of this call; None without validation images, and in processes other than the first.
        best_ap: best mask AP of the run, in 0..1; None without an evaluation.
        best_iteration: when that was.
        surplus_targets: targets for which there was no slot.
        validation: what it was evaluated on; None where nothing was set aside.
    """

    out: Path
    model: SparseInst
    iterations: int
    ended: End
    seconds: float
    evaluation: "Evaluation | None"
    best_ap: float | None
    best_iteration: int
    surplus_targets: int
    validation: Split | None

    @property
    def finished(self) -> bool:
        """False if the time limit came first."""
        return self.ended != "time"

    @property
    def weights(self) -> Path:
        """The network of the run: as it was at the best evaluation, without one as it is at the end."""
        return self.out / BEST
