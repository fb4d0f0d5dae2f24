"""What the folders of runs say of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparseinst.errors import InputError
from sparseinst.recipe import Preset
from sparseinst.training.facts import RunFacts, read_facts
from sparseinst.training.folder import CONFIG, RUNS
from sparseinst.training.lock import is_locked
from sparseinst.training.logs import EVALUATION_FILE, METRICS_FILE, read_table
from sparseinst.training.settings import FREE, flat
from sparseinst.zoo.names import load_preset

Rows = Sequence[Mapping[str, float]]

_MEASURED = ("preprocess.diameter_px", "preprocess.largest_px")
"""Settings that follow the data; where they differ, so does the data."""


@dataclass(frozen=True)
class RunRecord:
    """A run as its folder shows it.

    Args:
        folder: its folder.
        preset: all settings.
        facts: what else it began with.
        metrics: rows of metrics.csv.
        evaluations: rows of evaluation.csv.
        running: whether a process is in the folder.
    """

    folder: Path
    preset: Preset
    facts: RunFacts
    metrics: Rows
    evaluations: Rows
    running: bool

    @property
    def iterations(self) -> int:
        """Iterations done, as far as they are logged."""
        return int(self.metrics[-1]["iteration"]) if self.metrics else 0

    @property
    def best(self) -> Mapping[str, float] | None:
        """The evaluation of highest AP; None before the first one."""
        return max(self.evaluations, key=lambda row: row["ap"]) if self.evaluations else None


def read_runs(folder: Path = RUNS) -> list[RunRecord]:
    """The run of a folder, or all runs in it, by the time they were started.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of runs, found none: check the path, or train first")
    folders = [folder] if (folder / CONFIG).is_file() else sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
    if not folders:
        raise InputError(f"{folder}: expected folders of runs, each with a {CONFIG}, found none: check the path")
    return sorted(map(_read, folders), key=lambda run: run.facts.began)


def differences(runs: Sequence[RunRecord]) -> list[dict[str, str]]:
    """For each run the settings that are not the same in all of them, by dotted name, and its data and start.

    Those that do not change what is computed are left out.
    """
    values = [
        {**flat(run.preset.model_dump(mode="json", include={"recipe"})["recipe"]),
         **flat(run.preset.model_dump(mode="json", include={"model"})["model"]),
         "data": str(run.facts.data), "init": run.facts.init}
        for run in runs
    ]  # fmt: skip
    names = dict.fromkeys(name for own in values for name in own if name not in (*_MEASURED, *FREE))
    differing = [name for name in names if len({repr(own.get(name)) for own in values}) > 1]
    return [{name: _shown(own[name]) for name in differing if name in own} for own in values]


def _read(folder: Path) -> RunRecord:
    metrics, evaluations = (read_table(folder / name) for name in (METRICS_FILE, EVALUATION_FILE))
    preset = load_preset(folder / CONFIG)
    return RunRecord(folder, preset, read_facts(folder), metrics, evaluations, is_locked(folder))


def _shown(value: object) -> str:
    if isinstance(value, list) and len(value) > 4:
        return f"{len(value)} of them"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
