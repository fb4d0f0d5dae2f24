"""From what the user asked for to the settings and the data of a run; nothing is written or computed yet."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sparseinst.config.preprocess import NativeConfig
from sparseinst.data.channels import shown_as
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.formats.source import DataSource
from sparseinst.data.loader import iterations_of
from sparseinst.data.sizes import ObjectSizes, describe_sizes, measure_sizes
from sparseinst.errors import InputError, listed
from sparseinst.files import at_home
from sparseinst.recipe import Preset
from sparseinst.training.calibration import as_begun, laid_over
from sparseinst.training.choice import budget, channels_of, choose_network
from sparseinst.training.facts import RunFacts, read_facts
from sparseinst.training.folder import CONFIG, STATE, check_folder
from sparseinst.training.options import FRESH, RANDOM, Options, as_asked, check_options, with_options
from sparseinst.training.recipe_file import RecipeFile, load_recipe
from sparseinst.training.settings import apply_settings, is_set, with_classes
from sparseinst.training.split import HELD_OUT, HeldOut, held_out_before, hold_out
from sparseinst.training.starting import Start
from sparseinst.training.state import SavedRun
from sparseinst.zoo.models import Weights, preset_of, weights_file
from sparseinst.zoo.names import PICKLED, load_preset
from sparseinst.zoo.starts import start_of
from sparseinst.zoo.tensors import read_tensors

_DEFAULT_LOG = ("tensorboard",)
_MEASURED = {"preprocess.diameter_px": "median_px", "preprocess.largest_px": "largest_px"}
"""Settings that the sizes of the training objects give."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that may begin, or go on.

    Args:
        preset: all settings.
        facts: what else it begins with.
        dataset: the training images.
        held_out: images set aside to validate on; None where the data has validation images, or none are wanted.
        source: the parts of the data.
        start: the network that it begins with.
        saved: the state to go on from; None of a run that begins.
        recipe_file: the recipe that was asked for.
        told: what the user should know so far.
    """

    preset: Preset
    facts: RunFacts
    dataset: CocoDataset
    held_out: CocoDataset | None
    source: DataSource
    start: Start
    saved: SavedRun | None
    recipe_file: RecipeFile | None
    told: tuple[str, ...]

    @property
    def resume(self) -> bool:
        """Whether there is a state to go on from."""
        return self.saved is not None


def plan_run(options: Options) -> Plan:
    """Settings and data of the run that was asked for.

    Raises:
        InputError: data, settings or weights cannot be used, or the folder holds another run, or none to resume.
    """
    check_options(options)
    check_folder(options.out, options.resume)
    facts = read_facts(options.out) if options.resume else RunFacts()
    data = facts.data if options.data is None else Path(options.data)
    if data is None:
        said = f"{options.out}: the folder does not say what its data is" if options.resume else "data"
        raise InputError(f"{said}: expected a folder or YAML file (--data), got none: name it")
    source = resolve_data(data)
    if source.train is None:
        raise InputError(f"{data}: expected training images (a train.json with a folder train/), found none: add them")
    dataset = CocoDataset.of(source.train)
    facts = facts.model_copy(update={
        "data": at_home(data).resolve(), "log": (facts.log if options.resume else _DEFAULT_LOG)
        if options.log is None else options.log,
    })  # fmt: skip
    planned = _plan_of_folder if options.resume and options.model is None else _plan_of_options
    plan = planned(options, facts, source, dataset)
    return replace(plan, told=(*(f"found {line}" for line in source.found), *plan.told))


def _plan_of_folder(options: Options, facts: RunFacts, source: DataSource, dataset: CocoDataset) -> Plan:
    """A run whose folder says everything."""
    saved = _saved(options)
    preset = with_options(load_preset(options.out / CONFIG) if saved is None else saved.preset, options)
    parts = _parts_before(options.out, source, dataset)
    anew = "nothing was saved before it ended: the run begins anew, with the settings it had"
    return Plan(
        preset=preset, facts=facts, dataset=parts.training, held_out=parts.validation, source=source,
        start=Start(facts.init if options.init is None else options.init), saved=saved, recipe_file=None,
        told=(anew,) if saved is None else (),
    )  # fmt: skip


def _plan_of_options(options: Options, facts: RunFacts, source: DataSource, dataset: CocoDataset) -> Plan:
    sizes = measure_sizes(dataset)
    channels = channels_of(dataset)
    own, network, init, weights, told = _network(options, dataset, sizes, channels)
    recipe_file = None if options.recipe is None else load_recipe(options.recipe)
    preset = as_asked(own, options, recipe_file, init)
    preset, about_channels = _with_channels(preset, channels, options)
    told += about_channels
    if options.resume:
        parts = _parts_before(options.out, source, dataset)
    else:
        made = None if source.val is not None else hold_out(dataset, preset.recipe.held_out)
        parts = _Parts(dataset, None) if made is None else _Parts(*made)
        told += _about_validation(source, made, dataset)
    preset = _with_sizes(_for_data(preset, parts.training), sizes, options.settings)
    if options.model is None and recipe_file is None and not options.says_how_long:
        step_images = preset.recipe.batch * preset.recipe.optim.accumulate
        length = budget(own.recipe, len(parts.training), step_images=step_images)
        preset = laid_over(preset, length, options.settings)
    if options.minutes is not None and options.resume:
        preset = as_begun(preset, load_preset(options.out / CONFIG).recipe, options.settings)
    if recipe_file is not None:
        settings = [f"  {name}: {value}" for name, value in recipe_file.settings.items()]
        told += [f"recipe {options.recipe}: {recipe_file.description}", *settings]
    told += [
        *_about_classes(dataset),
        *describe_sizes(sizes, preset.model.preprocess),
        *([] if options.resume else [_start(preset, init)]),
    ]
    begun = {"network": network, "init": init, "began": datetime.now().astimezone().isoformat(timespec="seconds")}
    return Plan(
        preset=preset, facts=facts if options.resume else facts.model_copy(update=begun), dataset=parts.training,
        held_out=parts.validation, source=source, start=Start(init, weights), saved=_saved(options),
        recipe_file=recipe_file, told=tuple(told),
    )  # fmt: skip


def _saved(options: Options) -> SavedRun | None:
    file = options.out / STATE
    return SavedRun(file) if options.resume and file.is_file() else None


@dataclass(frozen=True)
class _Parts:
    training: CocoDataset
    validation: CocoDataset | None


def _parts_before(out: Path, source: DataSource, dataset: CocoDataset) -> _Parts:
    file = out / HELD_OUT
    if source.val is not None or not file.is_file():
        return _Parts(dataset, None)
    return _Parts(*held_out_before(dataset, file))


def _with_channels(preset: Preset, channels: int, options: Options) -> tuple[Preset, list[str]]:
    """The preset for images of so many channels, unless its own number was asked for."""
    own = preset.model.preprocess.channels
    if channels == own or any(given.endswith("preprocess.channels") for given in options.settings):
        return preset, []
    return apply_settings(preset, {"preprocess.channels": channels}), [
        f"channels: {channels} in each image, all of which the network takes (preprocess.channels); pictures show "
        f"{shown_as(channels) or 'them as red, green and blue'}"
    ]


def _network(
    options: Options, dataset: CocoDataset, sizes: ObjectSizes, channels: int
) -> tuple[Preset, str, str | None, Weights | None, list[str]]:
    """The preset before any change, the network in words, the weights to start from (and those, where which network it
    is was read from them), and what to tell.
    """
    model, init = options.model, options.init
    if model is None:
        choice = choose_network(dataset, sizes, channels)
        told = [f"network {choice.network}, chosen by the data: {choice.reason}"]
        if choice.network != "lite" and init is None:
            told.append("weights that know nuclei already ship: --init nuclei --recipe fine-tune starts from them")
        return load_preset(choice.network), choice.network, init, None, told
    if isinstance(model, Preset):
        return model, model.description, init, None, []
    brought = weights_file(model)
    published = brought is not None and brought.suffix in PICKLED
    weights = Weights(brought, read_tensors(brought)) if brought is not None and published else None
    preset = preset_of(weights or brought or model)
    if init is not None:
        weights = None
    elif brought is not None:
        init = str(brought)
    return preset, str(model), init, weights, [f"network {model}"]


def _start(preset: Preset, init: str | None) -> str:
    """What a run starts from, in words, before it is loaded."""
    if init is None:
        return start_of(preset.model)
    return FRESH if init == RANDOM else f"weights to start from: {init}"


def _about_validation(source: DataSource, made: HeldOut | None, dataset: CocoDataset) -> list[str]:
    if source.val is not None:
        return []
    if made is None:
        return ["no validation images: nothing says how good the network is; add some (val.json with val/)"]
    return [
        f"no validation images: {len(made.validation)} of the {len(dataset)} training images are set aside to measure "
        f"on ({HELD_OUT} in the folder of the run; --set held_out=0 sets none aside)"
    ]


def _about_classes(dataset: CocoDataset) -> list[str]:
    """Names classes that nothing is learnt of, as other parts alone have objects of them."""
    used = set(dataset.records.labels.tolist())
    unused = [name for label, name in enumerate(dataset.classes) if label not in used]
    return [f"no training image has an object of: {listed(unused)}: nothing is learnt of it"] if unused else []


def _for_data(preset: Preset, dataset: CocoDataset) -> Preset:
    """The preset for the classes of the data, with its epochs counted in iterations."""
    if set(preset.model.classes) != set(dataset.classes):
        preset = with_classes(preset, dataset.classes)
    epochs = preset.recipe.epochs
    if epochs is None:
        return preset
    return apply_settings(preset, {"iterations": iterations_of(epochs, len(dataset), preset.recipe), "epochs": None})


def _with_sizes(preset: Preset, sizes: ObjectSizes, settings: Mapping[str, object]) -> Preset:
    """The preset of a network at native scale with the sizes of the objects that it is going to know."""
    if not isinstance(preset.model.preprocess, NativeConfig) or not sizes.median_px > 0:
        return preset
    unset = {name: of for name, of in _MEASURED.items() if not any(given.endswith(name) for given in settings)}
    return apply_settings(preset, {name: round(getattr(sizes, of), 2) for name, of in unset.items()})


def with_batch(plan: Plan, batch: int, options: Options) -> Plan:
    """The plan with the batch that a trial found; unless the user said how long, as many images are seen as before."""
    recipe = plan.preset.recipe
    changes: dict[str, object] = {"batch": batch}
    if not options.says_how_long or options.epochs is not None:
        for name, value in (
            ("iterations", recipe.iterations), ("evaluate_every", recipe.evaluate_every),
            ("optim.warmup", recipe.optim.warmup),
        ):  # fmt: skip
            changes[name] = max(1, round(value * recipe.batch / batch))
    kept = {name: value for name, value in changes.items() if name == "batch" or not is_set(name, options.settings)}
    return replace(plan, preset=apply_settings(plan.preset, kept))
