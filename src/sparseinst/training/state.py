"""Everything that a run needs to go on where it stopped."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from sparseinst.errors import InputError, misfit, typed
from sparseinst.files import atomic, is_file
from sparseinst.parsing import readable
from sparseinst.recipe import Preset
from sparseinst.training.settings import FREE, flat
from sparseinst.zoo.migration import current_preset, gone_mechanisms

_FORMAT = "sparseinst-run-2"
"""Mark of the files written here; those of version 0.1 have none."""


@dataclass
class Progress:
    """How far a run has come.

    Args:
        iteration: iterations done.
        best_ap: best AP so far, in 0..1; None before the first evaluation.
        best_iteration: when that was.
        score: default score that the last evaluation gave the network; None before.
        owes_evaluation: whether the evaluation of this iteration was broken off.
        waited: evaluations since the best one, without a better AP.
        surplus: targets seen so far that had no slot.
        seconds: time spent, over all resumptions, evaluations included.
        window: sums of the loss terms since the last row of the log, with the number of iterations under "count" and
            the surplus targets under "surplus".
    """

    iteration: int = 0
    best_ap: float | None = None
    best_iteration: int = 0
    score: float | None = None
    owes_evaluation: bool = False
    waited: int = 0
    surplus: int = 0
    seconds: float = 0.0
    window: dict[str, float] = field(default_factory=dict)


def fingerprint(image_ids: NDArray[np.int64], instances: int) -> str:
    """A short mark that differs when the training images or the number of their instances differ."""
    digest = hashlib.sha256(np.ascontiguousarray(image_ids, dtype="<i8").tobytes())
    digest.update(str(instances).encode())
    return digest.hexdigest()[:16]


def save_state(path: Path, progress: Progress, preset: Preset, data: str, tensors: dict[str, Any]) -> None:
    """Writes the state of a run, whole or not at all.

    Args:
        path: file to write.
        progress: how far it has come.
        preset: its settings.
        data: `fingerprint` of its training data.
        tensors: state dicts of model, average, optimiser and the like, by name.
    """
    content = {
        "format": _FORMAT, "progress": asdict(progress), "preset": preset.model_dump(mode="json"), "data": data,
        "tensors": tensors,
    }  # fmt: skip
    with atomic(path) as temporary:
        torch.save(content, temporary)


class SavedRun:
    """The state of a run to go on with, as `save_state` wrote it; its file is read once.

    Args:
        path: the file.

    Attributes:
        preset: all settings of the run; those that it was too early to know have their defaults.

    Raises:
        InputError: there is no such file, it is damaged, or another version wrote it, with settings that are gone,
            without which the run cannot go on exactly.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._content = path, _read(path)
        self.preset = _preset(self._content, path)

    def go_on(self, preset: Preset, data: str) -> tuple[Progress, dict[str, Any]]:
        """How far the run had come, and the tensors that `save_state` was given, which are let go: it is asked once.

        Args:
            preset: the settings to go on with.
            data: `fingerprint` of the training data.

        Raises:
            InputError: settings or data have changed.
        """
        changes = _changes(self.preset.model_dump(mode="json"), preset.model_dump(mode="json"))
        if changes:
            raise InputError(
                f"{self._path}: resuming needs the settings that the run was started with; changed: "
                f"{'; '.join(changes)}. Leave them out, for the folder has them, or start in another folder"
            )
        if self._content["data"] != data:
            raise InputError(
                f"{self._path}: resuming needs the training data that the run was started with, and images or "
                "instances differ: give the same data, or start in another folder"
            )
        return Progress(**self._content["progress"]), self._content.pop("tensors")


def _read(path: Path) -> dict[str, Any]:
    if not is_file(path):
        raise InputError(f"{path}: expected the state of a run to resume, found none: start without resume")
    with readable(path, expected="the state of a run", hint="start again in another folder"):
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not {"preset", "data", "progress", "tensors"} <= set(content):
            raise ValueError("parts of it are missing")
    return content


def _preset(content: dict[str, Any], path: Path) -> Preset:
    """The settings of a saved run; those that it was too early to know have their defaults."""
    values, written = content["preset"], content.get("format")
    if written not in (None, _FORMAT):
        raise InputError(
            f"{path}: expected the state of a run ({_FORMAT}), found {written!r}: resume it with the version of "
            "sparseinst that wrote it, or start in another folder"
        )
    if written is None:
        used = ", ".join(f"{name}={value}" for name, value in gone_mechanisms(values["recipe"]).items())
        if used:
            weights = typed(path.parent / "last.safetensors")
            raise InputError(
                f"{path}: this run of version 0.1 used settings that are gone: {used}; it cannot go on exactly where "
                f"it stopped. Start from its weights (--model or --init {weights}) in another folder, or resume it "
                "with version 0.1"
            )
        values = current_preset(values, source=path)
    try:
        return Preset.model_validate(values)
    except ValidationError as error:
        raise InputError(
            f"{path}: its settings do not fit this version of sparseinst ({misfit(error)}): start in another folder"
        ) from error


def _changes(saved: dict[str, Any], current: dict[str, Any]) -> list[str]:
    """Settings that differ, as "optim.lr: 0.1 in the run, 0.2 now"."""
    before, now = ({**flat(p["model"]), **flat(p["recipe"])} for p in (saved, current))
    names = [name for name in {**before, **now} if name not in FREE and before.get(name) != now.get(name)]
    return [f"{name}: {before.get(name)} in the run, {now.get(name)} now" for name in names]
