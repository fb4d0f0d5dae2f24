from pathlib import Path

import pytest

from sparseinst.errors import InputError
from sparseinst.files import atomic_folder


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
