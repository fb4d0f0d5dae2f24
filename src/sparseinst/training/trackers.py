"""Logs elsewhere: TensorBoard, Weights & Biases, MLflow, through accelerate."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparseinst.errors import InputError
from sparseinst.recipe import Preset
from sparseinst.training.callbacks import Callback, End
from sparseinst.training.facts import read_facts, write_facts
from sparseinst.training.settings import flat

if TYPE_CHECKING:
    from sparseinst.evaluation.figures import Evaluation

_PACKAGES = {"tensorboard": "train", "wandb": "wandb", "mlflow": "mlflow"}
"""By the name of a tracker, which is also that of the package that it needs, the extra that brings it."""
_PROJECT = "sparseinst"
_LOGGER = logging.getLogger(__name__)


def check_trackers(names: Sequence[str]) -> None:
    """Checks that what a run is to be logged to is known and installed.

    Raises:
        InputError: it is not.
    """
    for name in names:
        if name not in _PACKAGES:
            raise InputError(f"log {name!r}: expected some of {', '.join(_PACKAGES)}, or none: correct the name")
        if find_spec(name) is None:
            raise InputError(
                f"log {name!r}: expected the package {name}, found none: pip install 'sparseinst[{_PACKAGES[name]}]', "
                "or leave it out"
            )


class Trackers(Callback):
    """Hands the rows of a run on to accelerate's trackers; a resumed run goes on in the same place.

    A tracker that fails once the run goes is left out from there on, with a warning.

    Args:
        accelerator: made with these trackers (see `make_accelerator`).
        names: of the trackers.
        last_iteration: what TensorBoard was told later is no longer shown.
    """

    def __init__(self, accelerator: Any, names: Sequence[str], *, last_iteration: int) -> None:
        self._accelerator, self._names, self._last_iteration = accelerator, tuple(names), last_iteration
        self._failures = _failures(names)
        self._open: list[Any] = []

    def on_start(self, folder: Path, preset: Preset) -> None:
        """Opens the trackers, and gives those that keep settings all of them.

        Raises:
            InputError: one cannot be opened: without a network, say, or without having logged in.
        """
        facts = read_facts(folder)
        ids = dict(facts.log_ids)
        if "mlflow" in self._names:
            _prepare_mlflow()
        try:
            self._accelerator.init_trackers(_PROJECT, init_kwargs={
                "tensorboard": {"purge_step": self._last_iteration + 1},
                "wandb": {"name": folder.name, "dir": str(folder), "id": ids.get("wandb"), "resume": "allow"},
                "mlflow": {"run_name": folder.name, "run_id": ids.get("mlflow")},
            })  # fmt: skip
        except self._failures as error:
            raise InputError(
                f"log {', '.join(self._names)}: cannot be opened ({str(error).splitlines()[0]}): log in, correct its "
                "address, or stay on this machine (WANDB_MODE=offline; without MLFLOW_TRACKING_URI MLflow does)"
            ) from error
        self._open = list(self._accelerator.trackers)
        for name in self._names:
            if name == "tensorboard" or name in ids:
                continue
            tracker = self._accelerator.get_tracker(name)
            tracker.store_init_configuration(flat(preset.model_dump(mode="json", include={"model", "recipe"})))
            run = tracker.tracker
            ids[name] = run.id if name == "wandb" else run.info.run_id
        write_facts(folder, facts.model_copy(update={"log_ids": ids}))

    def on_row(self, row: Mapping[str, float]) -> None:
        """Logs losses and speed."""
        self._log("train", row)

    def on_evaluation(self, row: Mapping[str, float], evaluation: "Evaluation") -> None:
        """Logs AP and the like."""
        self._log("val", row)

    def on_end(self, reason: End) -> None:
        """Closes them."""
        self._with_each(lambda tracker: tracker.finish())

    def _log(self, group: str, row: Mapping[str, float]) -> None:
        values = {f"{group}/{name}": value for name, value in row.items() if name != "iteration"}
        self._with_each(lambda tracker: tracker.log(values, step=int(row["iteration"])))

    def _with_each(self, act: Callable[[Any], None]) -> None:
        for tracker in list(self._open):
            try:
                act(tracker)
            except self._failures as error:
                self._open.remove(tracker)
                reason = str(error).splitlines()[0]
                _LOGGER.warning("log %s: failed (%s); the run goes on without it", tracker.name, reason)


def _failures(names: Sequence[str]) -> tuple[type[Exception], ...]:
    """What the trackers raise where they cannot reach what they log to."""
    found: list[type[Exception]] = [OSError]
    if "wandb" in names:
        import wandb

        found.append(wandb.Error)
    if "mlflow" in names:
        from mlflow.exceptions import MlflowException

        found.append(MlflowException)
    return tuple(found)


def _prepare_mlflow() -> None:
    """Without an address MLflow writes files, which need no further package; with one it does not try for minutes."""
    if "MLFLOW_TRACKING_URI" not in os.environ:
        os.environ["MLFLOW_TRACKING_URI"] = Path("mlruns").resolve().as_uri()
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
