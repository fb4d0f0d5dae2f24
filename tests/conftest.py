"""Fixtures that every test may use."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data and reference outputs, which live beside the repository and never in it."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"{SHARED} is absent: the real data and reference outputs are kept beside the repository")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny tensors are slower on several threads, and results must not depend on how many there are."""
    torch.set_num_threads(1)
