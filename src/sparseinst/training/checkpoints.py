"""What a run measures and keeps: the best weights, and one state to go on from."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from sparseinst.modeling.model import SparseInst
from sparseinst.ops.processes import gathered, take_of_first
from sparseinst.recipe import Preset
from sparseinst.training.callbacks import Callback
from sparseinst.training.engine import Engine
from sparseinst.training.folder import BEST, STATE
from sparseinst.training.interruption import BrokenOff, Signals
from sparseinst.training.logs import FIGURES
from sparseinst.training.progress import Display, clock
from sparseinst.training.state import Progress, save_state
from sparseinst.training.validation import Validation
from sparseinst.zoo.checkpoint import save_checkpoint

if TYPE_CHECKING:
    from sparseinst.evaluation.figures import Evaluation

Result = TypeVar("Result")


class Keeper:
    """Evaluates and saves a run.

    Args:
        folder: folder of the run.
        preset: the settings.
        data: fingerprint of the training data.
        engine: whose weights they are.
        progress: how far the run has come; what is measured is noted in it.
        validation: None where there are no validation images.
        callbacks: told of each evaluation; none in processes other than the first.
        display: what the user sees.
        signals: break off an evaluation.

    Attributes:
        evaluation: the last one.
        saved_iteration: that of the state that was saved or loaded last; 0 before.
    """

    def __init__(
        self, folder: Path, preset: Preset, *, data: str, engine: Engine, progress: Progress,
        validation: Validation | None, callbacks: Sequence[Callback], display: Display, signals: Signals,
    ) -> None:  # fmt: skip
        self.folder, self.preset, self.data = folder, preset, data
        self.engine, self.progress, self.validation = engine, progress, validation
        self.callbacks, self.display, self.signals = callbacks, display, signals
        self.evaluation: Evaluation | None = None
        self.saved_iteration = progress.iteration
        if progress.score is not None:
            _set_default_score(engine.average.module, progress.score)

    def evaluate(self) -> bool:
        """Measures the network, and keeps its weights if they are the best so far; False if a signal broke it off.

        Every process must call it, and finds what is in its share of the images; the first one does the rest.
        """
        if self.validation is None:
            return True
        self.display.doing("evaluate")
        began = time.monotonic()
        take_of_first(self.engine.average.module.buffers())  # batch norm's statistics are those of each process
        own = self._unless_broken_off(partial(self._find, self.validation))
        shares = gathered(own)  # outside, for a process that is told to stop must not leave the others alone with it
        if not self.engine.accelerator.is_main_process:
            return own is not None
        found = [share for share in shares if share is not None]
        if len(found) < len(shares):
            return False
        evaluation = self._unless_broken_off(partial(self._measured, self.validation, found))
        if evaluation is None:
            return False
        figures = {name: float(getattr(evaluation, name)) for name in FIGURES}
        self._note(evaluation, figures)
        row = {"iteration": self.progress.iteration, **figures, "seconds": time.monotonic() - began}
        for callback in self.callbacks:
            callback.on_evaluation(row, evaluation)
        self._tell(figures, row["seconds"])
        return True

    def save(self, *, over: bool) -> None:
        """Writes the state (every process must call it), and without an evaluation the weights."""
        self.display.doing("save")
        tensors = self.engine.state_dict(over=over)  # by every process: it gathers random states
        if self.engine.accelerator.is_main_process:
            if self.progress.best_ap is None:
                save_checkpoint(self.folder / BEST, self.engine.average.module, extra=self._facts(None))
            save_state(self.folder / STATE, self.progress, self.preset, self.data, tensors)
        self.saved_iteration = self.progress.iteration
        self.engine.accelerator.wait_for_everyone()
        self.display.doing("train")

    def _unless_broken_off(self, work: Callable[[], Result]) -> Result | None:
        """What some work of an evaluation gives; None if a signal broke it off."""
        try:
            # What training draws does not depend on when it is evaluated.
            with torch.random.fork_rng([]), self.signals.breaking_off():
                return work()
        except BrokenOff:
            return None

    def _find(self, validation: Validation) -> list[dict[str, Any]]:
        return validation.find(self.engine.average.module)

    def _measured(self, validation: Validation, shares: Sequence[Sequence[dict[str, Any]]]) -> "Evaluation":
        model = self.engine.average.module
        evaluation = validation.measure(model, shares)
        if evaluation.best_f1 > 0:  # predictions show from on where F1 is highest
            self.progress.score = round(min(max(evaluation.best_score, 0.05), 0.95), 2)
            _set_default_score(model, self.progress.score)
        validation.picture(model, self.folder / "pictures" / f"iter_{self.progress.iteration:06}")
        return evaluation

    def _note(self, evaluation: "Evaluation", figures: dict[str, float]) -> None:
        progress = self.progress
        best = progress.best_ap is None or figures["ap"] > progress.best_ap
        if best:
            save_checkpoint(self.folder / BEST, self.engine.average.module, extra=self._facts(figures))
            progress.best_ap, progress.best_iteration = figures["ap"], progress.iteration
        progress.waited = 0 if best else progress.waited + 1
        self.evaluation = evaluation

    def _tell(self, figures: dict[str, float], seconds: float) -> None:
        progress = self.progress
        best = progress.best_iteration == progress.iteration
        self.display.say(
            f"iteration {progress.iteration}: AP {figures['ap']:.4f}, AP50 {figures['ap50']:.4f}, "
            f"AP75 {figures['ap75']:.4f} in {clock(seconds)} "
            + ("(best)" if best else f"(best {progress.best_ap:.4f} at {progress.best_iteration})")
        )

    def _facts(self, figures: dict[str, float] | None) -> dict[str, object]:
        """What the file of weights says of itself."""
        iteration = self.progress.iteration
        return {
            "description": self.preset.description, "iteration": iteration,
            "seconds": round(self.progress.seconds, 1), "best_ap": None if figures is None else figures["ap"],
            "best_iteration": 0 if figures is None else iteration, "last_evaluation": figures,
            "recipe": self.preset.recipe.model_dump(mode="json"),
        }  # fmt: skip


def _set_default_score(model: SparseInst, score: float) -> None:
    post = model.config.postprocess.model_copy(update={"score": score})
    model.config = model.config.model_copy(update={"postprocess": post})
