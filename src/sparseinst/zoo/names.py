"""Names of networks: their presets, one YAML file each, and the weights that ship."""

from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from sparseinst.errors import InputError, misfit
from sparseinst.files import find_named, is_yaml, read_yaml
from sparseinst.recipe import Preset
from sparseinst.zoo.migration import current_preset

_PRESETS = Path(str(files("sparseinst.zoo") / "presets"))
_WEIGHTS = Path(str(files("sparseinst.zoo") / "weights"))

DEMO_IMAGE = Path(str(files("sparseinst.zoo") / "demo" / "nuclei.png"))
"""A micrograph that ships, to try the shipped weights on."""


def preset_names() -> list[str]:
    """Names of the networks that come with the package."""
    return sorted(path.stem for path in _PRESETS.glob("*.yaml"))


def load_preset(name: str | Path) -> Preset:
    """A preset by name, or read from a YAML file of the same form (also one that version 0.1 wrote).

    Raises:
        InputError: there is no such preset or file, or the file holds an unknown setting or a wrong value.
    """
    path = find_named(name, _PRESETS, kind="preset", option="model")
    values = read_yaml(path, expected="a preset")
    try:
        return Preset.model_validate(current_preset(values, source=path) if is_yaml(name) else values)
    except ValidationError as error:
        raise InputError(f"{path}: {misfit(error)}: correct the file") from error


def shipped_weights(name: str) -> Path | None:
    """The weights of a preset that come with the package, None if there are none."""
    path = _WEIGHTS / f"{name}.safetensors"
    return path if path.is_file() else None
