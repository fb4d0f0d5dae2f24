"""What a run began with, kept in its folder, so that the folder alone is enough to go on."""

from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from sparseinst.config.base import Settings
from sparseinst.errors import InputError, misfit
from sparseinst.files import atomic
from sparseinst.parsing import read_yaml
from sparseinst.version import __version__

FACTS = "run.yaml"


class RunFacts(Settings):
    """All of a run that is neither a setting nor learnt."""

    data: Path | None = Field(None, description="the data: a folder or a YAML file; None in runs of version 0.1")
    network: str = Field("", description="the network as it was named, or chosen and why")
    init: str | None = Field(None, description="weights to start from, as they were named")
    start: str = Field("", description="weights that it started from, in words")
    log: tuple[str, ...] = Field((), description="where it is logged to")
    log_ids: dict[str, str] = Field({}, description="its names there")
    began: str = Field("", description="when it was started")
    version: str = Field(__version__, description="version of this package that started it")


def read_facts(folder: Path) -> RunFacts:
    """What a run in this folder began with; nothing where version 0.1 began it.

    Raises:
        InputError: the file holds something else.
    """
    path = folder / FACTS
    if not path.is_file():
        return RunFacts()
    try:
        return RunFacts.model_validate(read_yaml(path, expected="what a run began with"))
    except ValidationError as error:
        raise InputError(f"{path}: {misfit(error)}: correct the file") from error


def write_facts(folder: Path, facts: RunFacts) -> None:
    """Writes them into the folder of the run."""
    body = yaml.safe_dump(facts.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
    with atomic(folder / FACTS) as temporary:
        temporary.write_text(body, encoding="utf-8")
