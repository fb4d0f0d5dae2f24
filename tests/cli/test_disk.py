"""Days when the disk is full: one line and an exit code, and nothing half there."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparseinst.files import atomic


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for next to nothing."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", folder]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting needs rights that this user has not")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_line(cli, checkpoint: Path, tiny_data: Path, small_disk: Path) -> None:
    (small_disk / "filled").write_bytes(bytes(4000))
    image = tiny_data / "val" / "0.png"
    commands = {
        "predict": ["predict", image, "--model", checkpoint, "--score", 0, "--save-json", "--out", small_disk],
        "export": ["export", checkpoint, "--format", "torch", "--out", small_disk / "a.pt2"],
    }
    for name, command in commands.items():
        result = cli(*command)
        assert result.exit_code == 2, (name, result.stdout, result.stderr)
        assert "No space left on device" in result.stderr.replace("\n", " "), (name, result.stderr)
    assert not [path for path in small_disk.iterdir() if ".tmp" in path.name]


def test_a_folder_that_has_gone_is_one_line(cli, checkpoint, tiny_data, tmp_path, monkeypatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(tmp_path / "out"))

    monkeypatch.setattr("sparseinst.inference.outputs.write_image", gone)
    result = cli("predict", tiny_data / "val" / "0.png", "--model", checkpoint, "--out", tmp_path / "out")
    assert result.exit_code == 2 and "No such file" in result.stderr.replace("\n", " ")


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), atomic(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "full")
    assert not list(tmp_path.iterdir())
