"""What the user asked for, and a preset with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sparseinst.errors import InputError
from sparseinst.recipe import Preset
from sparseinst.training.augmentation import augmentation
from sparseinst.training.recipe_file import RecipeFile, load_recipe, use_recipe
from sparseinst.training.settings import apply_settings, is_set, scale_sizes
from sparseinst.training.trackers import check_trackers
from sparseinst.zoo.download import HUB
from sparseinst.zoo.header import preset_in
from sparseinst.zoo.names import PICKLED, check_start, load_preset

RANDOM = "random"
"""Value of `init` for a start from fresh weights, backbone included."""

FRESH = "fresh weights"
"""That start in words."""

CHOICES = ("lite", "nuclei")
"""Networks of which the data decide where none is named."""

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


def as_asked(own: Preset, options: Options, file: RecipeFile | None, init: str | None) -> Preset:
    """The preset with everything that was asked for: another recipe, another size, single settings.

    Args:
        own: of the network.
        options: what was asked for.
        file: the recipe that they name.
        init: what the run starts from.

    Raises:
        InputError: the recipe is for other networks, or a setting is unknown or does not fit.
    """
    preset = own if file is None else use_recipe(own, file)
    preset = preset if options.size is None else scale_sizes(preset, options.size)
    return _without_frozen_noise(with_options(preset, options), init, options)


def check_options(options: Options) -> None:
    """Checks what was asked for, as far as neither data nor weights have to be read.

    Raises:
        InputError: a value is out of range, means nothing or does not fit the network, or two do not go together.
    """
    if options.iterations is not None and options.epochs is not None:
        raise InputError("expected iterations or epochs, got both: leave one out")
    if options.minutes is not None:
        _check_minutes(options.minutes, options)
    check_trackers(options.log or ())
    if options.init is not None and options.init != RANDOM:
        check_start(options.init)
    if options.resume and options.model is None:
        return  # the folder has the settings
    file = None if options.recipe is None else load_recipe(options.recipe)
    refusals = []
    for own in _networks(options.model):
        try:
            as_asked(own, options, file, options.init)
            return
        except InputError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def _networks(model: str | Path | Preset | None) -> list[Preset]:
    """The presets that a run may be of; none where only its weights or the Hub can tell."""
    if isinstance(model, Preset):
        return [model]
    if model is None:
        return [load_preset(name) for name in CHOICES]
    if str(model).startswith(HUB) or Path(model).suffix in PICKLED:
        return []
    return [preset_in(Path(model)) if Path(model).suffix == ".safetensors" else load_preset(model)]


def _check_minutes(minutes: float, options: Options) -> None:
    if not minutes > 0:
        raise InputError(f"minutes: expected a time above 0, got {minutes:g}: give the minutes that the run may take")
    said = (options.iterations, options.epochs)
    if any(value is not None for value in said) or any(is_set(n, options.settings) for n in ("iterations", "epochs")):
        raise InputError("expected minutes, or iterations or epochs, got both: leave one out")


def _without_frozen_noise(preset: Preset, init: str | None, options: Options) -> Preset:
    """Of fresh weights none are frozen."""
    if init != RANDOM or preset.recipe.optim.freeze is None:
        return preset
    if options.freeze is not None or any(name.endswith("optim.freeze") for name in options.settings):
        raise InputError("optim.freeze: expected weights that are worth keeping, got init random: leave one out")
    return apply_settings(preset, {"optim.freeze": None})
