import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparseinst.errors import InputError
from sparseinst.files import atomic, atomic_folder, kept
from sparseinst.parsing import find_named, read_json, read_yaml


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder"
    with atomic_folder(path) as temporary:
        (temporary / "a").write_text("a")
        assert not path.exists()
    assert [item.name for item in path.iterdir()] == ["a"] and list(path.parent.iterdir()) == [path]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "a").write_text("a")
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with atomic_folder(tmp_path / "empty") as temporary:
        (temporary / "a").write_text("a")
    for taken in (tmp_path / "empty", tmp_path / "empty" / "a"):
        with pytest.raises(InputError, match="not there yet"), atomic_folder(taken):
            raise AssertionError
    with pytest.raises(InputError, match="cannot be made"), atomic_folder(tmp_path / "empty" / "a" / "b"):
        raise AssertionError
    assert (tmp_path / "empty" / "a").read_text() == "a"


HOSTILE = {
    "deep": b"[" * 100_000,
    "digits": b"1" * 5000,
    "half a character": b'{"name": "\\ud800"}',
    "other bytes": b"\xff\xfe\x00",
    "cut": b'{"a": ',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_json_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json: expected JSON") as caught:
        read_json(path, expected="figures")
    assert len(str(caught.value)) < 400 + len(str(path))


def _bomb() -> str:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in itertools.pairwise("abcdefghi")]
    return "\n".join(lines)


HOSTILE_YAML = {
    "bomb": _bomb(),
    "date": "a: 2020-13-45",
    "key": "? [a]\n: b",
    "deep": "[" * 20_000,
    "cut": "{a: ",
    "tag": "!!python/object/apply:os.system ['true']",
}


@pytest.mark.parametrize("content", HOSTILE_YAML.values(), ids=HOSTILE_YAML)
def test_what_is_no_yaml_of_plain_values_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=r"a\.yaml: expected"):
        read_yaml(path, expected="a preset")


def test_a_name_that_no_file_has_is_an_input_error(tmp_path: Path) -> None:
    for name in ("a" * 5000 + ".json", "a\0b.json", "absent.json"):
        with pytest.raises(InputError, match="expected figures, found none"):
            read_json(tmp_path / name, expected="figures")


def test_names_are_looked_up_and_near_ones_told(tmp_path: Path) -> None:
    (tmp_path / "lite.yaml").touch()
    (tmp_path / "own.yaml").touch()
    assert find_named("lite", tmp_path, kind="preset", option="model") == tmp_path / "lite.yaml"
    assert find_named(tmp_path / "own.yaml", Path("elsewhere"), kind="preset", option="model") == tmp_path / "own.yaml"
    with pytest.raises(InputError, match="model 'lit': no preset or file of this name; did you mean lite"):
        find_named("lit", tmp_path, kind="preset", option="model")
    with pytest.raises(InputError, match="presets: lite, own"):
        find_named("zzzzzz", tmp_path, kind="preset", option="model")


def test_what_a_dead_process_left_is_swept(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    left = tmp_path / f".a[1].{dead.stdout.strip()}.tmp.json"
    own, other = tmp_path / f".a[1].{os.getppid()}.tmp.json", tmp_path / f".b.{dead.stdout.strip()}.tmp.json"
    for file in (left, own, other):
        file.write_text("half")
    with atomic(tmp_path / "a[1].json") as temporary:
        temporary.write_text("whole")
    assert not left.exists() and own.exists() and other.exists()
    folder = tmp_path / f".c.d.{dead.stdout.strip()}.tmp"
    folder.mkdir()
    (folder / "a").touch()
    with atomic_folder(tmp_path / "c.d"):
        pass
    assert not folder.exists()


def test_what_is_kept_has_its_name_when_it_is_done(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, unfinished = tmp_path / "a.txt", tmp_path / "a.unfinished.txt"
    for content in ("", "half"):
        with pytest.raises(KeyError), kept(path) as name:
            name.write_text(content)
            raise KeyError
        assert not path.exists() and unfinished.exists() == bool(content)
    assert "holds what was done" in caplog.text and "written over" not in caplog.text
    with kept(path) as name:
        name.write_text("whole")
    assert path.read_text() == "whole" and not unfinished.exists()
    assert "left by a run that did not finish, is written over" in caplog.text
