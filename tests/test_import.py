"""`import sparseinst` costs nothing and offers everything."""

import subprocess
import sys

import pytest

import sparseinst


def test_import_is_lazy() -> None:
    heavy = ("torch", "numpy", "timm", "supervision", "pydantic", "typer")
    code = f"import sys, sparseinst; dir(sparseinst); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sparseinst.__all__)
def test_every_public_name_resolves(name: str) -> None:
    value = getattr(sparseinst, name)
    assert value is not None
    assert getattr(sparseinst, name) is value
    assert name in dir(sparseinst)


def test_the_names_are_those_of_their_homes() -> None:
    from sparseinst.errors import InputError
    from sparseinst.zoo.models import load_model

    assert sparseinst.InputError is InputError
    assert sparseinst.load_model is load_model


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        sparseinst.no_such_name  # noqa: B018 - the access is the test
