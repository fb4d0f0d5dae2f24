"""Fixtures that every test may use."""

import logging
import signal
import threading
from pathlib import Path

import hypothesis
import pytest
import torch

from shapes import tiny_preset
from sparseinst.modeling.model import build_model
from sparseinst.zoo.checkpoint import save_checkpoint

# torch describes each step of an export to whoever listens, at some cost; pytest listens to what does not propagate.
logging.getLogger("torch.__trace").propagate = True

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The large sets of tests marked `data`, beside the repository; real.py has images that come with the tests."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"{SHARED / 'data'} is absent: the large sets of images are kept beside the repository")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """A shell makes what it runs in the background deaf to Ctrl-C, and its children inherit that."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny tensors are slower on several threads, and results must not depend on how many there are."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A network with fresh weights; at score 0 it finds something in every image."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        save_checkpoint(path, build_model(tiny_preset().model))
    return path
