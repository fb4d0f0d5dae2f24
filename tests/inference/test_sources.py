from pathlib import Path

import pytest

from sparseinst.errors import InputError
from sparseinst.inference import list_sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.PNG", "a.jpg", "ä c.tiff", "notes.md", "sub/d.png", "[1].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_folder_is_sorted_and_not_recursive(folder: Path) -> None:
    assert names(list_sources(folder)) == ["[1].png", "a.jpg", "b.PNG", "ä c.tiff"]


def test_file_of_any_suffix(folder: Path) -> None:
    assert list_sources(str(folder / "notes.md")) == [folder / "notes.md"]


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(folder: Path) -> None:
    assert list_sources(folder / "[1].png") == [folder / "[1].png"]


def test_globs(folder: Path) -> None:
    assert names(list_sources(f"{folder}/[ab].*")) == ["a.jpg", "b.PNG"]
    assert names(list_sources(folder / "**" / "*.png")) == ["[1].png", "d.png"]


def test_list_file_keeps_its_order_and_is_relative_to_itself(folder: Path) -> None:
    (folder / "list.txt").write_text(f"sub/d.png\n\n  a.jpg  \n{folder / 'b.PNG'}\nmissing.png\n", encoding="utf-8-sig")
    assert list_sources(folder / "list.txt") == [
        folder / "sub" / "d.png",
        folder / "a.jpg",
        folder / "b.PNG",
        folder / "missing.png",
    ]


def test_nothing_there(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "empty.txt").write_text("\n \n")
    (folder / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for source in ("gone.png", "empty", "empty.txt", "binary.txt", "*.webp"):
        with pytest.raises(InputError, match="expected") as caught:
            list_sources(folder / source)
        assert source in str(caught.value)
