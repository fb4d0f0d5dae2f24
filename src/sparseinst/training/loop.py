"""The loop of a run: steps, rows of the log, and checkpoints until the end or until something ends it sooner."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from sparseinst.batch import Batch
from sparseinst.recipe import Recipe
from sparseinst.training.batches import take
from sparseinst.training.callbacks import Callback, End
from sparseinst.training.checkpoints import Keeper
from sparseinst.training.engine import Engine, NonFiniteLoss, Step
from sparseinst.training.folder import STATE
from sparseinst.training.interruption import Signals
from sparseinst.training.logs import row_due
from sparseinst.training.progress import Display, TimeLeft
from sparseinst.training.state import Progress

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
    """One training run.

    Args:
        keeper: evaluates and saves.
        recipe: how it is trained.
        images: number of training images.
        callbacks: told of each row of the log; none in processes other than the first.
        display: what the user sees.
        signals: Ctrl-C and the like.
        limits: clocks.
    """

    def __init__(
        self, keeper: Keeper, recipe: Recipe, *, images: int, callbacks: Sequence[Callback],
        display: Display, signals: Signals, limits: Limits,
    ) -> None:  # fmt: skip
        self.keeper, self.recipe, self.images = keeper, recipe, images
        self.engine: Engine = keeper.engine
        self.progress: Progress = keeper.progress
        self.callbacks, self.display, self.signals, self.limits = callbacks, display, signals, limits
        self._started = self._saved = time.monotonic()
        self._before_s = self.progress.seconds
        self._left = TimeLeft(recipe.iterations, recipe.evaluate_every)
        self._step_images = recipe.batch * recipe.optim.accumulate

    def go(self, batches: Iterator[Batch]) -> End:
        """Trains until something ends the run, and gives what that was; everything is saved then.

        Raises:
            NonFiniteLoss: names the iteration, the images and the last good checkpoint.
            InputError: a training image cannot be read.
        """
        first = self.progress.iteration + 1
        if self.progress.owes_evaluation and (end := self._checkpoint(evaluate=True)) is not None:
            return end
        if self._agreed(self._is_out_of_patience())[0]:
            return "patience"
        for iteration in range(first, self.recipe.iterations + 1):
            began = time.monotonic()
            step = self._step(batches)
            seconds = time.monotonic() - began
            if iteration > first:  # the first one waits for the loader to start
                self._left.step(seconds)
            timeout, save, signalled = step.requests
            due = timeout or self._evaluation_due(iteration)
            self._record(step, seconds, last=iteration == self.recipe.iterations or timeout)
            if signalled:
                self._save(over=False)
                return "signal"
            if (due or save) and (end := self._checkpoint(evaluate=due)) is not None:
                return end
            if timeout and iteration < self.recipe.iterations:
                return "time"
        return "end"

    def _evaluation_due(self, iteration: int) -> bool:
        return iteration == self.recipe.iterations or iteration % self.recipe.evaluate_every == 0

    def _is_out_of_patience(self) -> bool:
        return self.recipe.patience is not None and self.progress.waited >= self.recipe.patience

    def _agreed(self, *wishes: bool) -> list[bool]:
        """For each wish whether any process has it."""
        own = torch.tensor([float(wish) for wish in wishes], device=self.engine.accelerator.device)
        return [value > 0 for value in self.engine.accelerator.reduce(own, reduction="sum").tolist()]

    def _step(self, batches: Iterator[Batch]) -> Step:
        now = time.monotonic()
        stop = self.limits.stop_s is not None and now - self._started >= self.limits.stop_s
        save = now - self._saved >= self.limits.save_s
        own = take(batches, self.recipe.optim.accumulate)
        requests = (stop, save, self.signals.number > 0)
        try:
            step = self.engine.step(own, done=self.progress.iteration, requests=requests)
        except NonFiniteLoss as error:
            raise NonFiniteLoss(f"{error}; {self._advice()}") from error
        self.progress.iteration += 1
        return step

    def _record(self, step: Step, seconds: float, *, last: bool) -> None:
        """Adds a step to the window of the log, and the window to the log when a row is due."""
        progress, window = self.progress, self.progress.window
        for name, value in {**step.losses, "surplus": step.surplus, "count": 1}.items():
            window[name] = window.get(name, 0) + value
        progress.surplus += step.surplus
        progress.seconds = self._before_s + time.monotonic() - self._started
        means = {name: window[name] / window["count"] for name in step.losses}
        per_s = (self._left.steps_per_s() or 1 / max(seconds, 1e-9)) * self._step_images
        due = last or row_due(progress.iteration, self.recipe.log_every)
        self.display.step(progress.iteration, means, per_s, self._time_left(), row=due)
        if due:
            row = {
                "iteration": progress.iteration, "epoch": progress.iteration * self._step_images / self.images,
                "lr": self.engine.learning_rate(progress.iteration - 1), "loss": sum(means.values()), **means,
                "surplus_targets": int(window["surplus"]), "images_per_s": per_s, "seconds": progress.seconds,
            }  # fmt: skip
            for callback in self.callbacks:
                callback.on_row(row)
            if window["surplus"]:
                _LOGGER.info("%d targets had no slot since the last row of the log", window["surplus"])
            window.clear()

    def _checkpoint(self, *, evaluate: bool) -> End | None:
        """Evaluates (if asked) and saves; all processes wait for it, and agree on whether that was the end."""
        began = time.monotonic()
        if not self.engine.has_finite_weights():
            raise NonFiniteLoss(f"iteration {self.progress.iteration}: weights are not finite; {self._advice()}")
        whole = not evaluate or self.keeper.evaluate()
        self.progress.owes_evaluation = not whole
        broken, patience = self._agreed(not whole, evaluate and self._is_out_of_patience())
        finished = self.progress.iteration == self.recipe.iterations and not broken
        self._save(over=finished)
        if evaluate:
            self._left.evaluation(time.monotonic() - began)
        if broken:
            return "signal"
        return "patience" if patience and not finished else None

    def _save(self, *, over: bool) -> None:
        self.progress.seconds = self._before_s + time.monotonic() - self._started
        self.keeper.save(over=over)
        self._saved = time.monotonic()

    def _time_left(self) -> float | None:
        left = self._left.seconds(self.progress.iteration)
        if left is None or self.limits.stop_s is None:
            return left
        return min(left, max(0.0, self.limits.stop_s - (time.monotonic() - self._started)))

    def _advice(self) -> str:
        path = self.keeper.folder / STATE
        good = f"{path} of iteration {self.keeper.saved_iteration}" if path.is_file() else "none yet"
        return (
            f"last good checkpoint: {good}. Lower the learning rate (optim.lr), lengthen the warm-up, clip gradients "
            "(optim.clip_norm=1), or train in fp32; if it happens again at the same images, look at these"
        )
