"""How long a run may be to end in time: a short measurement before it, of which nothing but two numbers stays."""

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sparseinst.batch import Batch
from sparseinst.recipe import Preset, Recipe
from sparseinst.training.batches import take
from sparseinst.training.engine import Engine
from sparseinst.training.settings import apply_settings, is_set
from sparseinst.training.validation import Validation

_WARM_STEPS = 3
"""Steps not timed: the loader starts, memory is asked for, kernels are chosen."""
_STEPS = (5, 30)
"""Fewest and most steps timed ..."""
_SHARE = 0.04
"""... which end between when this share of the time is spent."""
EVALUATIONS = 8
_EVALUATION_SHARE = 0.2
"""Of the time; where so many evaluations take more, there are fewer."""
WARMUP_SHARE = 0.04
"""Longest warm-up of a run laid over a time, as a share of its iterations."""


class Pace(NamedTuple):
    """What a run spends its time on."""

    step_s: float
    evaluation_s: float
    """Expected; 0 without validation images."""


class Length(NamedTuple):
    """How long a run is and how often it is evaluated."""

    iterations: int
    evaluate_every: int


def measure(engine: Engine, batches: Iterator[Batch], validation: Validation | None, *, seconds: float) -> Pace:
    """Times steps, and a few images of an evaluation; the engine is no longer fresh afterwards.

    Args:
        engine: takes the steps; every process must take part.
        batches: of this process.
        validation: None without validation images.
        seconds: what the run may take.
    """
    count = engine.recipe.optim.accumulate
    for done in range(_WARM_STEPS):
        engine.step(take(batches, count), done=done)
    least, most = _STEPS
    began, steps, enough = time.monotonic(), 0, False
    while not enough and steps < most:
        wish = steps + 1 >= least and time.monotonic() - began >= _SHARE * seconds
        # One process's wish is all processes' end: they must take the same steps.
        (enough,) = engine.step(take(batches, count), done=_WARM_STEPS + steps, requests=(wish,)).requests
        steps += 1
    step_s = (time.monotonic() - began) / steps
    return Pace(step_s, 0.0 if validation is None else validation.expected_seconds(engine.average.module))


def length_for(pace: Pace, seconds: float, *, evaluate_every: int | None = None) -> Length:
    """The iterations that a time has room for, beside their evaluations.

    Args:
        pace: measured.
        seconds: the time.
        evaluate_every: iterations between evaluations; None for 8 evaluations, or as many as take a fifth of the time,
            at least the one at the end.

    Example:
        >>> length_for(Pace(0.5, 10.0), 1000)
        Length(iterations=1840, evaluate_every=230)
        >>> length_for(Pace(0.5, 100.0), 1000)
        Length(iterations=1600, evaluate_every=800)
        >>> length_for(Pace(0.5, 100.0), 1000, evaluate_every=600)
        Length(iterations=1500, evaluate_every=600)
    """
    if evaluate_every is not None:
        return Length(max(1, int(seconds / (pace.step_s + pace.evaluation_s / evaluate_every))), evaluate_every)
    affordable = int(_EVALUATION_SHARE * seconds / pace.evaluation_s) if pace.evaluation_s else EVALUATIONS
    evaluations = min(EVALUATIONS, max(1, affordable))
    iterations = max(1, int((seconds - evaluations * pace.evaluation_s) / pace.step_s))
    return Length(iterations, -(-iterations // evaluations))


def agreed(length: Length) -> Length:
    """The length that the first process found, in every process."""
    from accelerate.utils import broadcast_object_list

    return Length(*broadcast_object_list(list(length)))


def laid_over(preset: Preset, length: Length, settings: Mapping[str, object]) -> Preset:
    """The preset with this length; its warm-up takes at most 4 % of it. What the user has set stays."""
    warmup = min(preset.recipe.optim.warmup, int(WARMUP_SHARE * length.iterations))
    return _with_length(preset, length, warmup, settings)


def as_begun(preset: Preset, run: Recipe, settings: Mapping[str, object]) -> Preset:
    """The preset with the length that a run was given when it began. What the user has set stays."""
    return _with_length(preset, Length(run.iterations, run.evaluate_every), run.optim.warmup, settings)


def _with_length(preset: Preset, length: Length, warmup: int, settings: Mapping[str, object]) -> Preset:
    changes = {"iterations": length.iterations, "evaluate_every": length.evaluate_every, "optim.warmup": warmup}
    return apply_settings(preset, {name: value for name, value in changes.items() if not is_set(name, settings)})
