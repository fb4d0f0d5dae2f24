"""What version 0.1 wrote, for this version to read: settings that are gone are left out, and that is said.

Nothing but training ever read them, so a network gives the same instances without. Settings that are merely absent in
such files (`decoder.kind`, `preprocess.kind`) need nothing here: their defaults are what 0.1 did.
"""

import logging
from collections.abc import Mapping
from typing import Any

_LOGGER = logging.getLogger(__name__)

GONE: Mapping[str, object] = {
    "start": "published",
    "loss.class_target": "binary",
    "loss.match_activation": 0.0,
    "loss.guidance": 0.0,
    "loss.guidance_warmup": 0,
    "loss.duplicate": 0.0,
    "loss.boundary": 0.0,
    "loss.points": 0,
    "auxiliary.semantic": 0.0,
    "auxiliary.one_to_many": 0.0,
    "auxiliary.matches": 4,
    "auxiliary.slots": 100,
    "auxiliary.denoising": 0.0,
    "auxiliary.distillation": 0.0,
    "auxiliary.teacher": None,
}
"""Settings of a recipe that went after version 0.1, by dotted name, and the default that each had."""

_DETAILS = {"loss.guidance_warmup", "auxiliary.matches", "auxiliary.slots", "auxiliary.teacher"}
"""Those of them that changed nothing by themselves."""


def current_preset(values: Any, *, source: object) -> Any:
    """The plain values of a preset without settings that are gone; see `current_recipe`."""
    if not isinstance(values, Mapping) or "recipe" not in values:
        return values
    return {**values, "recipe": current_recipe(values["recipe"], source=source)}


def current_recipe(values: Any, *, source: object) -> Any:
    """The plain values of a recipe without settings that are gone; one warning names those that did something.

    Args:
        values: as read from a file; what is no mapping is given back for the settings' own checks.
        source: the file, for the warning.
    """
    changed = [name for name, default in GONE.items() if _get(values, name, default) != default]
    if changed:
        _LOGGER.warning("%s: settings of version 0.1 that are gone, left out: %s", source, ", ".join(changed))
    return _without_gone(values)


def gone_mechanisms(recipe: Mapping[str, Any]) -> dict[str, object]:
    """The settings of a recipe that make its training one that this version cannot repeat, with their values."""
    found = {name: _get(recipe, name, default) for name, default in GONE.items() if name not in _DETAILS}
    return {name: value for name, value in found.items() if value != GONE[name]}


def _get(values: Any, name: str, default: object) -> object:
    for part in name.split("."):
        if not isinstance(values, Mapping) or part not in values:
            return default
        values = values[part]
    return values


def _without_gone(values: Any, prefix: str = "") -> Any:
    """Values without what is gone, and without groups that nothing else was in."""
    if not isinstance(values, Mapping):
        return values
    kept = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        inner = _without_gone(value, f"{name}.")
        emptied = inner == {} and any(gone.startswith(f"{name}.") for gone in GONE)
        if name not in GONE and not emptied:
            kept[key] = inner
    return kept
