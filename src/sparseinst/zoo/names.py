"""Names of networks: their presets, one YAML file each, and the weights that ship."""

from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from sparseinst.errors import InputError, misfit
from sparseinst.files import is_file
from sparseinst.parsing import find_named, is_yaml, read_yaml
from sparseinst.recipe import Preset
from sparseinst.zoo.download import HUB
from sparseinst.zoo.migration import current_preset

_PRESETS = Path(str(files("sparseinst.zoo") / "presets"))
_WEIGHTS = Path(str(files("sparseinst.zoo") / "weights"))

PICKLED = (".pth", ".pt", ".pkl")
"""Suffixes of pickled weights: torch's files, and detectron2's raw pickles."""

DEFAULT_MODEL = "nuclei"
"""The network whose weights ship with the package; it knows nuclei in micrographs and nothing else."""

PUBLISHED_WEIGHTS = "https://github.com/hustvl/SparseInst"
"""Where the authors link the checkpoints of the published networks."""

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


def check_ships(name: str) -> None:
    """Checks that a preset (its name or YAML file) can run without weights being given; of other files asks nothing.

    Raises:
        InputError: it has none; the message says where there are some.
    """
    elsewhere = Path(name).suffix in (".safetensors", *PICKLED) or name.startswith(HUB)
    if not elsewhere and shipped_weights(name) is None:
        raise InputError(without_weights(name, load_preset(name)))


def without_weights(name: str, preset: Preset) -> str:
    """What to do about a preset that ships without weights, in words."""
    published = preset.published.weights
    if published is None:
        return (
            f"model {name!r} has no weights yet, and none are published: train it (sparseinst train --model {name}), "
            "give a file with --weights FILE, or take random ones for a test with --random-weights"
        )
    return (
        f"model {name!r} ships without weights; its authors publish {published} at {PUBLISHED_WEIGHTS}: download that "
        f"file and give it as --model FILE.pth (or --model {name} --weights FILE.pth), or bring it into this package's "
        "form once with: sparseinst convert FILE.pth. For a test, --random-weights takes random ones"
    )


def check_start(name: str) -> None:
    """Checks that weights to start a training from can be there: a file, hf:owner/name, or a preset whose weights ship.

    Raises:
        InputError: they cannot.
    """
    if name.startswith(HUB) or is_file(name):
        return
    if Path(name).suffix in (".safetensors", *PICKLED):
        raise InputError(f"{name}: expected a weights file to start from, found none: check the path")
    if shipped_weights(name) is None:
        raise InputError(
            f"{name}: expected a weights file (.safetensors, .pth, .pkl), a preset whose weights ship, or "
            "hf:owner/name to start from: give one of these, or random"
        )


def converted_file(published: Path, out: str | Path | None) -> Path:
    """The file that a published checkpoint is converted to; without a name the same one in .safetensors.

    Raises:
        InputError: either name has another suffix.
    """
    if published.suffix not in PICKLED:
        found = published.suffix or "none"
        raise InputError(f"{published}: expected a published checkpoint ({', '.join(PICKLED)}), got {found}")
    target = published.with_suffix(".safetensors") if out is None else Path(out)
    if target.suffix != ".safetensors":
        raise InputError(f"{target}: expected a name that ends in .safetensors to write to")
    return target
