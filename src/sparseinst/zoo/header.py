"""What a checkpoint says about its network, read from the head of its file: no tensor, and no PyTorch."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from safetensors import safe_open

from sparseinst.config.model import ModelConfig
from sparseinst.errors import InputError, brief, misfit, shown, typed
from sparseinst.files import is_file
from sparseinst.parsing import is_yaml, parse_json, readable
from sparseinst.recipe import Preset, Recipe
from sparseinst.zoo.download import HUB
from sparseinst.zoo.migration import current_recipe
from sparseinst.zoo.names import PICKLED, load_preset, shipped_weights

FORMAT = "sparseinst-2"
_READABLE = ("sparseinst-1", FORMAT)
"""Those of version 0.1 differ only in what their recipes may hold (see `migration`)."""


def read_config(path: Path) -> ModelConfig:
    """The settings of the network in a checkpoint.

    Raises:
        InputError: the file is missing or damaged, or is no checkpoint of ours.
    """
    return config_in(_metadata(path), path)


def config_in(metadata: Mapping[str, str], path: Path) -> ModelConfig:
    """The settings that the metadata of a checkpoint hold.

    Raises:
        InputError: it is none of ours, or its settings are not those of this version.
    """
    if metadata.get("format") not in _READABLE or "config" not in metadata:
        raise InputError(
            f"{path}: expected a sparseinst checkpoint ({FORMAT}), found {brief(metadata.get('format', 'no mark'))} "
            "in its metadata: give a file written by `sparseinst train`"
        )
    try:
        return ModelConfig.model_validate_json(metadata["config"])
    except ValidationError as error:
        raise InputError(
            f"{path}: its settings do not fit this version of sparseinst ({misfit(error)}): write it again with the "
            "version that trained it"
        ) from error


def checkpoint_extra(path: Path) -> dict[str, object]:
    """The further facts that `save_checkpoint` stored in a file, as they are (a 0.1 recipe with all it held).

    Raises:
        InputError: the file is missing or damaged.
    """
    return _extra_in(_metadata(path), path)


def _extra_in(metadata: Mapping[str, str], path: Path) -> dict[str, object]:
    facts = parse_json(metadata.get("extra", "{}"), source=path)
    if not isinstance(facts, dict):
        raise InputError(f"{path}: expected facts by name in its metadata, got {brief(facts)}: write it again")
    return facts


def preset_in(path: Path) -> Preset:
    """The settings of a checkpoint with the recipe that it was trained by.

    Raises:
        InputError: the file is missing, damaged, none of ours, or of a version whose recipe means nothing here.
    """
    metadata = _metadata(path)
    config, facts = config_in(metadata, path), _extra_in(metadata, path)
    try:
        recipe = Recipe.model_validate(current_recipe(facts.get("recipe", {}), source=path))
    except ValidationError as error:
        raise InputError(
            f"{path}: its recipe does not fit this version of sparseinst ({misfit(error)}): name a preset, and start "
            "from this file with --init"
        ) from error
    return Preset(description=str(facts.get("description", path.stem)), model=config, recipe=recipe)


def known_config(name_or_path: str | Path, weights: str | Path | None = None) -> ModelConfig | None:
    """The settings that the network has which `load_model` gives for the same, as far as no tensor has to be read.

    Args:
        name_or_path: a preset, its YAML file, or a checkpoint.
        weights: those of a preset.

    Returns:
        None for what has to be fetched from the Hub, and for published checkpoints, which their tensors tell apart.

    Raises:
        InputError: there is no such preset or file, or the weights are not of that network.
    """
    path = Path(name_or_path)
    if str(name_or_path).startswith(HUB) or path.suffix in PICKLED:
        return None
    if path.suffix == ".safetensors":
        return read_config(path)
    own = load_preset(name_or_path).model
    if weights is not None and (str(weights).startswith(HUB) or Path(weights).suffix != ".safetensors"):
        return own
    if weights is not None:
        return agreed(str(name_or_path), own, read_config(Path(weights)), Path(weights))
    shipped = shipped_weights(str(name_or_path))
    return own if shipped is None else read_config(shipped)


def agreed(name: str, wanted: ModelConfig, trained: ModelConfig, path: Path) -> ModelConfig:
    """The settings of weights that are given for a preset: those of a YAML file apply, for somebody has written them;
    those that come with the package give way to what training has measured.

    Raises:
        InputError: the weights are of another network, or know other classes.
    """
    for part in ("backbone", "encoder", "decoder"):
        if getattr(trained, part) != getattr(wanted, part):
            raise InputError(
                f"{path}: its {part} is not that of {name!r}, another network: name it alone, as in --model "
                f"{typed(path)}"
            )
    if not is_yaml(name):
        return trained
    if len(wanted.classes) != len(trained.classes):
        raise InputError(
            f"{path}: expected the {len(wanted.classes)} classes of {name!r}, got weights of {len(trained.classes)}: "
            "correct the classes of the file"
        )
    return wanted


def _metadata(path: Path) -> dict[str, str]:
    if not is_file(path):
        raise InputError(f"{shown(path)}: expected a .safetensors file, found none: check the path")
    with readable(path, expected="a safetensors file", hint="fetch or write it again"), safe_open(path, "np") as file:
        return dict(file.metadata() or {})
