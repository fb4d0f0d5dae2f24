"""From a name or a file to a network with its weights."""

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

import torch
import yaml
from pydantic import ValidationError

from sparseinst.errors import InputError
from sparseinst.modeling import SparseInst, build_model
from sparseinst.recipe import Preset
from sparseinst.zoo.checkpoint import (
    backbone_tensors,
    load_strictly,
    read_checkpoint,
    read_tensors,
    translate,
)
from sparseinst.zoo.upstream import is_published

DEFAULT_MODEL = "nuclei"
"""The network whose weights ship with the package; it knows nuclei in micrographs and nothing else."""

PUBLISHED_WEIGHTS = "https://github.com/hustvl/SparseInst"
"""Where the authors link the checkpoints of the published networks."""

LEAST_SHARE = 0.5
"""Of the backbone's tensors, or of the rest, that a file must have to start from it."""

_PRESETS = Path(str(files("sparseinst.zoo") / "presets"))
_WEIGHTS = Path(str(files("sparseinst.zoo") / "weights"))


def preset_names() -> list[str]:
    """Names of the networks that come with the package."""
    return sorted(path.stem for path in _PRESETS.glob("*.yaml"))


def load_preset(name: str | Path) -> Preset:
    """A preset by name, or read from a YAML file of the same form.

    Raises:
        InputError: there is no such preset or file, or the file holds an unknown setting or a wrong value.
    """
    path = Path(name) if str(name).endswith((".yaml", ".yml")) else _PRESETS / f"{name}.yaml"
    if Path(name).suffix in (".safetensors", ".pth"):
        raise InputError(f"{name}: expected a preset, got weights: name the preset and start from the file with --init")
    if not path.is_file():
        close = get_close_matches(str(name), preset_names(), n=3, cutoff=0.4)
        raise InputError(
            f"model {str(name)!r}: no preset or file of this name; "
            f"did you mean {' or '.join(close)}?" if close else
            f"model {str(name)!r}: no preset or file of this name; presets: {', '.join(preset_names())}"
        )  # fmt: skip
    try:
        return Preset.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from error
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors())
        raise InputError(f"{path}: {details}") from error


def load_model(
    name_or_path: str | Path,
    *,
    weights: str | Path | None = None,
    random_weights: bool = False,
    device: str | torch.device = "cpu",
) -> SparseInst:
    """A network in eval mode.

    Args:
        name_or_path: a preset ("nuclei", "r50-giam"), a preset's YAML file, or a checkpoint written by this package.
        weights: for a preset, its weights: our .safetensors, or a published .pth ({"model": {names: tensors}}).
        random_weights: for a preset, take fresh weights (tests and benchmarks).
        device: where to put it.

    Returns:
        The module; `model(images)` takes (B, 3, H, W) float RGB in 0..255 and gives `Predictions`.

    Raises:
        InputError: no such model, no weights for it, or weights of another network.
    """
    path = Path(name_or_path)
    if path.suffix == ".safetensors":
        if weights is not None or random_weights:
            raise InputError(f"{path} brings its own weights: leave weights and random_weights out")
        config, tensors = read_checkpoint(path)
        model = build_model(config)
        load_strictly(model, tensors, source=path)
    elif path.suffix in (".pth", ".pt", ".pkl"):
        raise InputError(
            f"{path}: a published checkpoint does not say which network it is: name it too, as in "
            f"--model r50-giam --weights {path} or load_model('r50-giam', weights={str(path)!r})"
        )
    else:
        model = _from_preset(str(name_or_path), weights, random_weights)
    return model.to(device).eval()


def shipped_weights(name: str) -> Path | None:
    """The weights of a preset that come with the package, None if there are none."""
    path = _WEIGHTS / f"{name}.safetensors"
    return path if path.is_file() else None


def init_weights(model: SparseInst, path: str | Path) -> str:
    """Starts a network from a file: keeps every tensor whose name and shape fit.

    Args:
        model: changed in place.
        path: our .safetensors, a published .pth, a classifier's weights for the backbone alone, or the name of a preset
            whose weights ship.

    Returns:
        One line that says how much was loaded and what was not.

    Raises:
        InputError: the file cannot be read or nothing in it fits.
    """
    path = shipped_weights(str(path)) or path
    tensors = read_tensors(Path(path))
    if is_published(tensors):
        tensors = translate(tensors, levels=len(model.config.backbone.strides))
    elif not any(name.startswith("backbone.") for name in tensors):
        tensors = backbone_tensors(model, tensors)
    own = model.state_dict()
    fitting = {n: t.to(own[n].dtype) for n, t in tensors.items() if n in own and t.shape == own[n].shape}
    backbone = sum(name.startswith("backbone.") for name in own)
    found = sum(name.startswith("backbone.") for name in fitting)
    if max(found / backbone, (len(fitting) - found) / (len(own) - backbone)) < LEAST_SHARE:
        raise InputError(
            f"{path}: only {len(fitting)} of {len(own)} tensors fit backbone {model.config.backbone.name!r} and this "
            "network: give a checkpoint of this network or weights of its backbone"
        )
    model.load_state_dict(fitting, strict=False)
    fresh = [name for name in own if name not in fitting and not name.endswith("num_batches_tracked")]
    parts = sorted({".".join(name.split(".")[:2]) for name in fresh})
    return f"{path}: {len(fitting)} of {len(own)} tensors loaded; fresh: {', '.join(parts) or 'none'}"


def _from_preset(name: str, weights: str | Path | None, random_weights: bool) -> SparseInst:
    preset = load_preset(name)
    shipped = shipped_weights(name)
    if random_weights:
        return build_model(preset.model)
    if weights is None and shipped is not None:
        return load_model(shipped)
    if weights is None:
        published = preset.published.weights
        where = (
            f"its authors publish {published} at {PUBLISHED_WEIGHTS}: download it and" if published else "train it, or"
        )
        raise InputError(
            f"model {name!r} ships without weights: {where} give the file as --weights FILE (in Python, weights=FILE)"
        )
    if Path(weights).suffix == ".safetensors":
        model = load_model(weights)
        for part in ("backbone", "encoder", "decoder"):
            if getattr(model.config, part) != getattr(preset.model, part):
                raise InputError(
                    f"{weights}: its {part} is not that of {name!r}, it is another network: name it alone, as in "
                    f"--model {weights}"
                )
        return model
    model = build_model(preset.model)
    load_strictly(model, read_tensors(Path(weights)), source=Path(weights))
    return model
