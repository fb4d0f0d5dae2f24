"""`sparseinst cache`: what is kept, how large it is, and rid of it."""

import os
import time
from pathlib import Path

import pytest


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Three converted networks of 3 MB, last used 1, 50 and 200 hours ago."""
    folder = tmp_path / "cache"  # as the commands of these tests are told
    folder.mkdir()
    for name, hours in (("new", 1), ("older", 50), ("oldest", 200)):
        path = folder / f"{name}.onnx"
        path.write_bytes(bytes(3 * 10**6))
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    (folder / "other.txt").touch()
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_shows_what_is_kept(cli, kept: Path) -> None:
    result = cli("cache")
    assert result.exit_code == 0, result.stderr
    rows = [line for line in result.stdout.splitlines() if ".onnx" in line]
    assert [row.split("│")[1].strip() for row in rows] == ["new.onnx", "older.onnx", "oldest.onnx"]
    assert [row.split("│")[3].strip() for row in rows] == ["60 minutes ago", "2 days ago", "8 days ago"]
    assert f"3 converted networks, 9 MB of at most 2000 MB, in {kept}" in result.stdout
    assert len(names(kept)) == 4


def test_it_keeps_the_last_used_within_a_bound(cli, kept: Path) -> None:
    assert "removed 1 network, 3 MB" in cli("cache", "--most-mb", 7).stdout
    assert names(kept) == ["new.onnx", "older.onnx", "other.txt"]


def test_it_clears_all_and_nothing_else(cli, kept: Path) -> None:
    result = cli("cache", "--clear")
    assert "removed 3 networks, 9 MB" in result.stdout and "0 converted networks" in result.stdout
    assert names(kept) == ["other.txt"]


def test_there_need_be_none(cli) -> None:
    assert cli("cache").exit_code == 0
