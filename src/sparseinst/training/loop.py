"""The loop of a run: steps, logs, evaluations and checkpoints until the end or until the time is up."""

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sparseinst.modeling import SparseInst
from sparseinst.recipe import Preset
from sparseinst.structures import Batch
from sparseinst.training.batches import take
from sparseinst.training.engine import Engine, NonFiniteLoss, Step
from sparseinst.training.folder import BEST, LAST, STATE
from sparseinst.training.logs import FIGURES, RunLog
from sparseinst.training.progress import Display, TimeLeft, clock
from sparseinst.training.state import Progress, save_state
from sparseinst.training.validation import Validation
from sparseinst.zoo import save_checkpoint

if TYPE_CHECKING:
    from sparseinst.evaluation import Evaluation

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Clocks of a run, in seconds since it was started or resumed.

    Args:
        stop_s: when to stop, None for never.
        save_s: longest time between two checkpoints.
    """

    stop_s: float | None
    save_s: float


class Run:
    """One training run in its folder.

    Args:
        folder: where everything goes.
        preset: the settings.
        data: fingerprint of the training data.
        images: number of training images.
        engine: takes the steps.
        progress: how far it has come.
        validation: None where there are no validation images, and in processes other than the first.
        validates: whether there are validation images at all.
        log: None in processes other than the first.
        display: what the user sees.
        limits: clocks.
    """

    def __init__(
        self, folder: Path, preset: Preset, *, data: str, images: int, engine: Engine, progress: Progress,
        validation: Validation | None, log: RunLog | None, display: Display, limits: Limits,
    ) -> None:  # fmt: skip
        self.folder, self.preset, self.recipe = folder, preset, preset.recipe
        self.data, self.images = data, images
        self.engine, self.progress, self.validation = engine, progress, validation
        self.log, self.display, self.limits = log, display, limits
        self.evaluation: Evaluation | None = None
        if progress.score is not None:
            _set_default_score(engine.average.module, progress.score)
        self._started = self._saved = time.monotonic()
        self._before_s = progress.seconds
        self._saved_iteration = progress.iteration
        self._left = TimeLeft(self.recipe.iterations, self.recipe.evaluate_every)
        self._step_images = self.recipe.batch * self.recipe.optim.accumulate

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return bool(self.engine.accelerator.is_main_process)

    def go(self, batches: Iterator[Batch]) -> bool:
        """Trains to the end; gives whether it was reached (and not the time limit).

        Raises:
            NonFiniteLoss: names the iteration, the images and the last good checkpoint.
            InputError: a training image cannot be read.
        """
        first = self.progress.iteration + 1
        for iteration in range(first, self.recipe.iterations + 1):
            began = time.monotonic()
            step = self._step(batches)
            if iteration > first:  # the first one waits for the loader to start
                self._left.step(time.monotonic() - began)
            stop, save = step.requests
            last = stop or iteration == self.recipe.iterations
            self._record(step, last=last)
            due = last or iteration % self.recipe.evaluate_every == 0
            if due or save:
                self._checkpoint(evaluate=due)
            if last:
                return iteration == self.recipe.iterations
        return True

    def _step(self, batches: Iterator[Batch]) -> Step:
        now = time.monotonic()
        stop = self.limits.stop_s is not None and now - self._started >= self.limits.stop_s
        save = now - self._saved >= self.limits.save_s
        own = take(batches, self.recipe.optim.accumulate)
        try:
            step = self.engine.step(own, done=self.progress.iteration, requests=(stop, save))
        except NonFiniteLoss as error:
            raise NonFiniteLoss(f"{error}; {self._advice()}") from error
        self.progress.iteration += 1
        return step

    def _record(self, step: Step, *, last: bool) -> None:
        """Adds a step to the window of the log, and the window to the log when it is full."""
        progress, window = self.progress, self.progress.window
        for name, value in {**step.losses, "surplus": step.surplus, "count": 1}.items():
            window[name] = window.get(name, 0) + value
        progress.surplus += step.surplus
        progress.seconds = self._before_s + time.monotonic() - self._started
        means = {name: window[name] / window["count"] for name in step.losses}
        per_s = self._left.steps_per_s() * self._step_images
        row_due = last or progress.iteration % self.recipe.log_every == 0
        self.display.step(progress.iteration, means, per_s, self._time_left(), row=row_due)
        if row_due:
            row = {
                "iteration": progress.iteration, "epoch": progress.iteration * self._step_images / self.images,
                "lr": self.engine.learning_rate(progress.iteration - 1), "loss": sum(means.values()), **means,
                "surplus_targets": int(window["surplus"]), "images_per_s": per_s, "seconds": progress.seconds,
            }  # fmt: skip
            if self.log is not None:
                self.log.step(row)
            if window["surplus"]:
                _LOGGER.info("%d targets had no slot since the last row of the log", window["surplus"])
            window.clear()

    def _checkpoint(self, *, evaluate: bool) -> None:
        """Evaluates (if asked), saves the best and the last weights and the state; all processes wait for it."""
        began = time.monotonic()
        if not self.engine.has_finite_weights():
            raise NonFiniteLoss(f"iteration {self.progress.iteration}: weights are not finite; {self._advice()}")
        if evaluate and self.validation is not None:
            self.display.doing("evaluate")
            with torch.random.fork_rng([]):  # what training draws does not depend on when it is evaluated
                self._evaluate(self.validation)
        if evaluate and self.log is not None:
            self.log.plot()
        self.display.doing("save")
        self._save()
        self.display.doing("train")
        self.engine.accelerator.wait_for_everyone()
        if evaluate:
            self._left.evaluation(time.monotonic() - began)

    def _evaluate(self, validation: Validation) -> None:
        began = time.monotonic()
        progress, model = self.progress, self.engine.average.module
        self.evaluation = validation.measure(model)
        if self.evaluation.best_f1 > 0:  # predictions show from on where F1 is highest
            progress.score = round(min(max(self.evaluation.best_score, 0.05), 0.95), 2)
            _set_default_score(model, progress.score)
        figures = {name: float(getattr(self.evaluation, name)) for name in FIGURES}
        row = {"iteration": progress.iteration, **figures, "seconds": time.monotonic() - began}
        best = progress.best_ap is None or figures["ap"] > progress.best_ap
        if best:
            progress.best_ap, progress.best_iteration = figures["ap"], progress.iteration
            save_checkpoint(self.folder / BEST, model, extra=self._facts(figures))
        if self.log is not None:
            self.log.evaluation(row)
        self.display.say(
            f"iteration {progress.iteration}: AP {figures['ap']:.4f}, AP50 {figures['ap50']:.4f}, "
            f"AP75 {figures['ap75']:.4f} in {clock(row['seconds'])} "
            + ("(best)" if best else f"(best {progress.best_ap:.4f} at {progress.best_iteration})")
        )
        validation.picture(model, self.folder / "pictures" / f"iter_{progress.iteration:06}")

    def _save(self) -> None:
        tensors = self.engine.state_dict()  # by every process: it gathers random states
        self.progress.seconds = self._before_s + time.monotonic() - self._started
        if self.is_main:
            figures = None if self.evaluation is None else {n: float(getattr(self.evaluation, n)) for n in FIGURES}
            save_checkpoint(self.folder / LAST, self.engine.average.module, extra=self._facts(figures))
            save_state(self.folder / STATE, self.progress, self.preset, self.data, tensors)
        self._saved, self._saved_iteration = time.monotonic(), self.progress.iteration

    def _facts(self, figures: dict[str, float] | None) -> dict[str, object]:
        progress = asdict(self.progress)
        facts = {name: progress[name] for name in ("iteration", "seconds", "best_ap", "best_iteration")}
        recipe = self.preset.recipe.model_dump(mode="json")
        return {"description": self.preset.description, **facts, "last_evaluation": figures, "recipe": recipe}

    def _time_left(self) -> float | None:
        left = self._left.seconds(self.progress.iteration)
        if left is None or self.limits.stop_s is None:
            return left
        return min(left, max(0.0, self.limits.stop_s - (time.monotonic() - self._started)))

    def _advice(self) -> str:
        path = self.folder / STATE
        good = f"{path} and {LAST} of iteration {self._saved_iteration}" if path.is_file() else "none yet"
        return (
            f"last good checkpoint: {good}. Lower the learning rate (optim.lr), lengthen the warm-up, clip gradients "
            "(optim.clip_norm=1), or train in fp32; if it happens again at the same images, look at these"
        )


def _set_default_score(model: SparseInst, score: float) -> None:
    post = model.config.postprocess.model_copy(update={"score": score})
    model.config = model.config.model_copy(update={"postprocess": post})
