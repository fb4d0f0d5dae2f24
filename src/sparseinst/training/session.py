"""A run in this process: folder, measurements, network, loop, end."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from rich.console import Console

from sparseinst.data.formats.source import Split
from sparseinst.recipe import Preset
from sparseinst.training.accelerating import make_accelerator, release_accelerator
from sparseinst.training.batch_size import fitting_batch
from sparseinst.training.batches import batches_from
from sparseinst.training.callbacks import Callback, End
from sparseinst.training.checkpoints import Keeper
from sparseinst.training.engine import Engine
from sparseinst.training.facts import write_facts
from sparseinst.training.folder import CONFIG, opened
from sparseinst.training.interruption import Interrupted, Signals
from sparseinst.training.logs import RunLog
from sparseinst.training.loop import Limits, Run
from sparseinst.training.lost import none_lost
from sparseinst.training.opening import Plan, with_batch
from sparseinst.training.options import AUTO, Options
from sparseinst.training.progress import Display
from sparseinst.training.result import TrainResult
from sparseinst.training.samples import SAMPLES, draw_samples
from sparseinst.training.settings import write_config
from sparseinst.training.split import HELD_OUT, write_held_out
from sparseinst.training.starting import advice, fitted, resumed_engine, start_validation, summary
from sparseinst.training.state import Progress, fingerprint
from sparseinst.training.trackers import Trackers

_LOGGER = logging.getLogger(__name__)


class Session:
    """A run in this process, between its plan and its result."""

    def __init__(
        self, stack: ExitStack, options: Options, plan: Plan, target: torch.device, console: Console | None
    ) -> None:
        self.stack, self.options, self.plan, self.target = stack, options, plan, target
        self.out = options.out
        self._finds_batch = options.batch == AUTO and not plan.resume
        self.accelerator = self._accelerator()
        stack.callback(release_accelerator)
        self.is_main = bool(self.accelerator.is_main_process)
        self.console = console if self.is_main else None
        self._say(plan.told)

    def prepare(self, began_s: float) -> None:
        """Folder, validation images, batch and length, all but the network."""
        if self.is_main:
            self.stack.enter_context(opened(self.out))
        self.split = self._split()
        plan, options = self.plan, self.options
        if self._finds_batch:
            engine, _ = plan.start.engine(plan.preset, self.accelerator, again=True)
            batch, line = fitting_batch(plan.preset, plan.dataset, engine)
            del engine
            self._finds_batch = False
            self._say([line])
            self._go_on_with(with_batch(plan, batch, options).preset)
        # Before the weights: a mistake in a file is cheaper.
        self.validation = start_validation(self.split, plan.held_out, self.plan.preset, self.accelerator)
        if options.minutes is not None and not plan.resume:
            until_s = began_s + 60 * options.minutes
            preset, line = fitted(
                self.plan.preset, plan.dataset, self.accelerator, self.validation, plan.start, options.settings, until_s
            )
            self._say([line])
            self._go_on_with(preset)

    def run(self, limits: Limits, callbacks: Sequence[Callback]) -> TrainResult:
        """The run itself."""
        plan, preset = self.plan, self.plan.preset
        engine, progress, mark = self._begin()
        iterations, own = preset.recipe.iterations, self._callbacks(engine, progress, callbacks)
        with ExitStack() as stack:
            ended = stack.enter_context(_told_of_the_end(own))
            for callback in own:
                callback.on_start(self.out, preset)
            display = stack.enter_context(Display(self.console, iterations=iterations, start=progress.iteration))
            signals = stack.enter_context(
                Signals(tell=None if self.console is None else "saving once this step is done")
            )
            keeper = Keeper(
                self.out, preset, data=mark, engine=engine, progress=progress, validation=self.validation,
                callbacks=own, display=display, signals=signals,
            )  # fmt: skip
            run = Run(
                keeper, preset.recipe, images=len(plan.dataset), callbacks=own, display=display, signals=signals,
                limits=limits,
            )  # fmt: skip
            with none_lost(self.out, progress):
                reason = run.go(batches_from(progress.iteration, plan.dataset, preset, engine))
            ended(reason)
        if reason == "signal":
            raise Interrupted(signals.number, self.out, progress.iteration)
        return TrainResult(
            self.out, engine.average.module, progress.iteration, reason, progress.seconds, keeper.evaluation,
            progress.best_ap, progress.best_iteration, progress.surplus, self.split,
        )  # fmt: skip

    def _begin(self) -> tuple[Engine, Progress, str]:
        """Network and progress, new or loaded, and the mark of the data; a new run writes down what it begins with."""
        plan, preset = self.plan, self.plan.preset
        mark, progress = fingerprint(plan.dataset.image_ids, plan.dataset.instances), Progress()
        if plan.saved is None:
            engine, origin = plan.start.engine(preset, self.accelerator)
        else:
            engine, origin = resumed_engine(preset, self.accelerator), "resumed"
            progress, tensors = plan.saved.go_on(preset, mark)
            engine.load_state_dict(tensors)
        if self.is_main:  # the data of a resumed run may have moved
            write_facts(self.out, plan.facts if plan.resume else plan.facts.model_copy(update={"start": origin}))
        if self.is_main and not plan.resume:
            write_config(self.out / CONFIG, preset, notes={"data": plan.facts.data, "weights": origin})
            draw_samples(self.out / SAMPLES, plan.dataset, preset)
        lines = [] if origin in plan.told else [origin]
        self._say([*lines, *advice(origin, plan.recipe_file), *summary(preset, plan.dataset, engine, progress)])
        return engine, progress, mark

    def _accelerator(self) -> Any:
        return make_accelerator(
            self.plan.preset.recipe,
            self.target,
            log=self.plan.facts.log,
            folder=self.out / "tensorboard",
            batch_is_open=self._finds_batch,
        )

    def _go_on_with(self, preset: Preset) -> None:
        """Another preset, and nothing left of what a measurement has used up."""
        self.plan = replace(self.plan, preset=preset)
        release_accelerator()
        self.accelerator = self._accelerator()

    def _split(self) -> Split | None:
        """What to validate on; of images that were set aside the file is written now."""
        held_out, source = self.plan.held_out, self.plan.source
        if held_out is None:
            return source.val
        if self.is_main and not self.options.resume:
            assert source.train is not None, "something was set aside of it"
            write_held_out(self.out, held_out, source.train)
        return Split(images=held_out.images_dir, annotations=self.out / HELD_OUT)

    def _callbacks(self, engine: Engine, progress: Progress, further: Sequence[Callback]) -> list[Callback]:
        if not self.is_main:
            return []
        names = self.plan.facts.log
        trackers = [Trackers(self.accelerator, names, last_iteration=progress.iteration)] if names else []
        return [RunLog(self.out, engine.losses, last_iteration=progress.iteration), *trackers, *further]

    def _say(self, lines: Sequence[str]) -> None:
        for line in lines:
            _LOGGER.info(line)
            if self.console is not None:
                self.console.print(line, markup=False, highlight=False)


@contextmanager
def _told_of_the_end(callbacks: Sequence[Callback]) -> Iterator[Callable[[End], None]]:
    """Tells callbacks once why the run is over; what leaves without a word is an error."""
    reasons: list[End] = []
    try:
        yield reasons.append
    finally:
        for callback in callbacks:
            callback.on_end(reasons[0] if reasons else "error")
