"""What a release says of itself agrees; what must not be in its files is found."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from contents import LICENCES, disagreements, oldest, problems_of


def test_version_changelog_and_citation_agree() -> None:
    assert disagreements() == []


def wheel(folder: Path, *names: str) -> Path:
    path = folder / "sparseinst-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (*names, *(f"sparseinst-1.dist-info/licenses/{name}" for name in LICENCES)):
            archive.writestr(name, "x")
    return path


def test_a_clean_wheel_has_no_problems(tmp_path) -> None:
    assert problems_of(wheel(tmp_path, "sparseinst/__init__.py")) == []


@pytest.mark.parametrize("name", ["tests/test_a.py", "sparseinst/__pycache__/a.pyc", "sparseinst/runs/a.txt"])
def test_what_does_not_belong_into_a_wheel_is_named(tmp_path, name) -> None:
    assert name.split("/")[0] in problems_of(wheel(tmp_path, "sparseinst/__init__.py", name))[0]


def test_a_missing_licence_is_named(tmp_path) -> None:
    path = tmp_path / "sparseinst-1.tar.gz"
    (tmp_path / "LICENSE").write_text("x")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "LICENSE", "sparseinst-1/LICENSE")
    assert [problem.split(": ")[1] for problem in problems_of(path)] == [f"{name} is missing" for name in LICENCES[1:]]


def test_the_oldest_versions_are_those_that_are_declared() -> None:
    assert "torch==2.8.*" in oldest() and all("==" in line and line.endswith(".*") for line in oldest())
