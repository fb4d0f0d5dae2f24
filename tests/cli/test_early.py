"""A wrong value is told before PyTorch is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

from sparseinst.cli import early
from sparseinst.runtime.backends import BACKENDS, SUFFIXES
from sparseinst.zoo.tensors import PICKLED

RUN = """
import sys
from sparseinst.cli.app import main
sys.argv = ["sparseinst", *sys.argv[1:]]
try:
    main()
finally:
    print("torch" in sys.modules)
"""
WRONG = {
    "model": (["predict", "{file}", "--model", "tree"], "no preset or file of this name"),
    "source": (["predict", "no-such.png"], "found none"),
    "backend": (["predict", "{file}", "--backend", "foo"], "backend 'foo'"),
    "tile": (["predict", "{file}", "--tile", "1"], "tile must be at least 2"),
    "weights": (["predict", "{file}", "--model", "no.safetensors"], "expected a weights file"),
    "data": (["train", "--data", "{file}-not"], "found nothing"),
    "setting": (["train", "--data", "{file}", "--set", "optim.lr=x"], "setting optim.lr"),
    "annotations": (["evaluate", "--model", "nuclei", "--images", "{file}", "--annotations", "no.json"], "no.json"),
    "export": (["export", "tree", "--format", "onnx", "--out", "x"], "no preset"),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_told_before_torch_is_loaded(words: list[str], message: str, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.touch()
    command = [sys.executable, "-c", RUN, *(word.format(file=file) for word in words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and message in " ".join(done.stderr.split())
    assert done.stdout.splitlines()[-1] == "False"


def test_names_are_those_that_can_be_opened() -> None:
    assert set(early.BACKENDS) == set(BACKENDS)
    assert set(early.FILES) == {".safetensors", *PICKLED, *SUFFIXES}
