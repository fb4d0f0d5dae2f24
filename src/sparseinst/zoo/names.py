"""Names of networks: their presets, one YAML file each, and the weights that ship."""

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import ValidationError

from sparseinst.errors import InputError, misfit
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
    by_user = str(name).endswith((".yaml", ".yml"))
    path = Path(name) if by_user else _PRESETS / f"{name}.yaml"
    if not path.is_file():
        close = get_close_matches(str(name), preset_names(), n=3, cutoff=0.4)
        raise InputError(
            f"model {str(name)!r}: no preset or file of this name; "
            f"did you mean {' or '.join(close)}?" if close else
            f"model {str(name)!r}: no preset or file of this name; presets: {', '.join(preset_names())}"
        )  # fmt: skip
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Preset.model_validate(current_preset(values, source=path) if by_user else values)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {misfit(error)}") from error


def shipped_weights(name: str) -> Path | None:
    """The weights of a preset that come with the package, None if there are none."""
    path = _WEIGHTS / f"{name}.safetensors"
    return path if path.is_file() else None
