import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def seeded(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("seeded_weights", shared / "reference" / "seeded_weights.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["seeded_weights"] = module
    spec.loader.exec_module(module)
    return module
