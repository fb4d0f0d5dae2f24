"""What the user asked for, and a preset with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sparseinst.errors import InputError
from sparseinst.recipe import Preset
from sparseinst.training.augmentation import augmentation
from sparseinst.training.calibration import check_minutes, is_set
from sparseinst.training.settings import apply_settings

RANDOM = "random"
"""Value of `init` for a start from fresh weights, backbone included."""

FRESH = "fresh weights"
"""That start in words."""

AUTO = "auto"
"""Value of `batch` for the largest that fits."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked for, as `train` describes it; None where nothing was said."""

    data: str | Path | None
    model: str | Path | Preset | None
    out: Path
    recipe: str | Path | None
    init: str | None
    augment: str | None
    iterations: int | None
    epochs: float | None
    batch: int | str | None
    size: int | None
    lr: float | None
    freeze: int | str | None
    patience: int | None
    workers: int | None
    precision: str | None
    seed: int | None
    settings: Mapping[str, object]
    resume: bool
    minutes: float | None
    log: tuple[str, ...] | None

    def __post_init__(self) -> None:
        if self.iterations is not None and self.epochs is not None:
            raise InputError("expected iterations or epochs, got both: leave one out")
        if self.minutes is not None:
            check_minutes(self.minutes, self.iterations, self.epochs, self.settings)

    @property
    def says_how_long(self) -> bool:
        """Whether iterations, epochs or a time were given."""
        given = (self.iterations, self.epochs, self.minutes)
        return any(value is not None for value in given) or any(
            is_set(name, self.settings) for name in ("iterations", "epochs")
        )


def with_options(preset: Preset, options: Options) -> Preset:
    """The preset with what was asked for, single settings last."""
    values = {
        "iterations": options.iterations, "epochs": options.epochs, "optim.lr": options.lr,
        "batch": None if options.batch == AUTO else options.batch, "patience": options.patience,
        "workers": options.workers, "precision": options.precision, "seed": options.seed,
    }  # fmt: skip
    changes: dict[str, object] = {} if options.augment is None else dict(augmentation(options.augment))
    changes.update({name: value for name, value in values.items() if value is not None})
    if options.freeze is not None:
        changes["optim.freeze"] = _frozen_stride(options.freeze, preset)
    for chosen in (changes, options.settings):
        preset = apply_settings(preset, chosen)
    return preset


def _frozen_stride(freeze: int | str, preset: Preset) -> object:
    words: dict[str, int | None] = {"backbone": max(preset.model.backbone.strides), "none": None}
    if isinstance(freeze, int) or freeze.isdecimal():
        return int(freeze)
    if freeze not in words:
        raise InputError(f"freeze: expected backbone, none or a stride such as 4, got {freeze!r}: choose one of these")
    return words[freeze]


def without_frozen_noise(preset: Preset, init: str | None, options: Options) -> Preset:
    """Of fresh weights none are frozen."""
    if init != RANDOM or preset.recipe.optim.freeze is None:
        return preset
    if options.freeze is not None or any(name.endswith("optim.freeze") for name in options.settings):
        raise InputError("optim.freeze: expected weights that are worth keeping, got init random: leave one out")
    return apply_settings(preset, {"optim.freeze": None})
