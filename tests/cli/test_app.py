import resource
import subprocess
import sys

import pytest
from torch.utils.data import DataLoader, Dataset

import sparseinst
from sparseinst.cli.app import app
from sparseinst.errors import InputError
from sparseinst.recipe import OptimConfig, Recipe
from sparseinst.zoo.names import DEFAULT_MODEL, DEMO_IMAGE, preset_names

COMMANDS = ("train", "evaluate", "predict", "models", "export", "info", "convert", "push", "benchmark", "data")
LAZY = """
import sys
from sparseinst.cli.app import app
assert "torch" not in sys.modules, "after the import"
try:
    app({arguments}, prog_name="sparseinst")
except SystemExit as end:
    assert end.code == 0, end.code
heavy = [name for name in ("torch", "timm", "supervision", "numpy") if name in sys.modules]
assert not heavy, heavy
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", LAZY.format(arguments=arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "sparseinst" in done.stdout


def test_help_answers_in_under_half_a_second() -> None:
    def spent_s() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "sparseinst.cli", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # its own processor time: what it takes on a machine that is not busy with something else
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(spent_s() for _ in range(3)) < 0.5


def test_help_names_every_command(cli) -> None:
    result = cli("--help")
    assert result.exit_code == 0
    assert all(f" {name} " in result.stdout for name in COMMANDS)


def test_options_are_described_by_their_settings(cli) -> None:
    text = " ".join(cli("train", "--help").stdout.replace("│", " ").split())
    for kind, name in ((Recipe, "batch"), (Recipe, "precision"), (OptimConfig, "lr")):
        description = kind.model_fields[name].description
        assert description[1:] in text, name
    assert "setting:" not in text


def test_version(cli) -> None:
    assert cli("--version").stdout == f"sparseinst {sparseinst.__version__}\n"


def test_models_lists_every_preset(cli) -> None:
    result = cli("models")
    assert result.exit_code == 0
    assert all(f" {name} " in result.stdout for name in preset_names())
    assert "34.0" in result.stdout and "sparse_inst_r50_giam" in result.stdout
    assert f"{DEFAULT_MODEL} is what" in result.stdout


@pytest.mark.parametrize("arguments", [["paint"], ["predict"], ["predict", "x", "--batch", "0"]])
def test_usage_mistakes_exit_with_2(cli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


def test_wrong_input_is_one_red_line_without_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sparseinst.cli", "predict", "x.png", "--model", "tree"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: model 'tree'")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_exits_with_130(cli, monkeypatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sparseinst.zoo.models.load_model", interrupted)
    result = cli("predict", DEMO_IMAGE)
    assert (result.exit_code, result.stdout) == (130, "")


def test_a_defect_keeps_its_traceback(cli, monkeypatch) -> None:
    def defective(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("sparseinst.zoo.models.load_model", defective)
    with pytest.raises(RuntimeError, match="a defect"):
        cli("predict", DEMO_IMAGE)
    assert not app.pretty_exceptions_enable


class _Broken(Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        raise InputError("a.png: expected an image,\ngot none: replace it")


def test_message_of_a_loader_process_is_freed_from_its_traceback() -> None:
    with pytest.raises(InputError) as caught:
        list(DataLoader(_Broken(), num_workers=1))
    assert str(caught.value) == "a.png: expected an image,; got none: replace it"
