"""A tiny network, tiny data, and the command line run in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from shapes import CLASSES, tiny_preset, write_split
from sparseinst.cli.app import app
from sparseinst.zoo.checkpoint import save_checkpoint
from tiny import tiny_seeds

Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def _not_converted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Commands run PyTorch: converting a network for another runtime takes longer than the test."""
    monkeypatch.setenv("SPARSEINST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sparseinst.runtime.cache.can_convert", lambda: False)


@pytest.fixture
def cli() -> Cli:
    """Runs a command; its result has exit_code, stdout and stderr. A defect is raised, as the shell would show it."""

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """6 training and 2 validation images of 64 pixels, each with a bright disk and a bright box."""
    root = tmp_path_factory.mktemp("cli_shapes")
    write_split(root, "train", 6, first=0)
    write_split(root, "val", 2, first=100)
    return root


@pytest.fixture(scope="session")
def seeds_checkpoint(tmp_path_factory) -> Path:
    """A network of seeds, as many as the frame has room for."""
    path = tmp_path_factory.mktemp("checkpoint") / "seeds.safetensors"
    model = tiny_seeds(candidates=400, candidates_per="area")
    model.config = model.config.model_copy(update={"classes": CLASSES})
    save_checkpoint(path, model)
    return path


@pytest.fixture(scope="session")
def preset(tmp_path_factory) -> Path:
    """The preset of that network, with a recipe of 2 iterations."""
    path = tmp_path_factory.mktemp("preset") / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_preset(iterations=2).model_dump(mode="json")))
    return path
