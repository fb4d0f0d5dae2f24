import json
import os
import socket
import time

import pytest

from sparseinst.errors import InputError
from sparseinst.training.lock import LOCK, is_locked, locked


def test_one_at_a_time(tmp_path) -> None:
    with locked(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(InputError, match=f"process {os.getpid()} on"), locked(tmp_path):
            pass
    assert not is_locked(tmp_path) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        {"pid": 2**22 + 1, "host": socket.gethostname(), "began_s": 1.0},
        {"pid": os.getppid(), "host": socket.gethostname(), "began_s": 1.0},  # the number is used again
        {"pid": "?"},
        [],
    ],
)
def test_the_dead_hold_nothing(tmp_path, content) -> None:
    (tmp_path / LOCK).write_text(json.dumps(content))
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_lock_holds_nothing_and_one_of_another_machine_does(tmp_path) -> None:
    (tmp_path / LOCK).write_text("{")
    with locked(tmp_path):
        pass
    (tmp_path / LOCK).write_text(json.dumps({"pid": 1, "host": "elsewhere", "began_s": 1.0}))
    with pytest.raises(InputError, match=r"on elsewhere .*remove .*run\.lock"), locked(tmp_path):
        pass
    assert is_locked(tmp_path)
    before = time.time() - 200
    os.utime(tmp_path / LOCK, (before, before))
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_who_holds_it_gives_signs_of_life(tmp_path) -> None:
    with locked(tmp_path):
        os.utime(tmp_path / LOCK, (1.0, 1.0))
        deadline = time.monotonic() + 60
        while (tmp_path / LOCK).stat().st_mtime == 1.0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (tmp_path / LOCK).stat().st_mtime > 1.0
