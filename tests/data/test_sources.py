from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.sources import find_sources, is_foreign_image, list_sources
from sparseinst.errors import InputError
from sparseinst.inference.writers import write_image
from sparseinst.scale.listing import list_input


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


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).touch()
    return folder


def test_what_a_folder_holds_besides_is_named_unless_it_goes_with_images(tmp_path: Path) -> None:
    kept = ("a.png", "b.JFIF", "c.czi", "notes.docx", "d.zarr/0/0.0", "sub/x.lif", "gone.tif")
    quiet = (
        ".hidden.czi",
        "a.txt",
        "a.JSON",
        "clip.jsonl",
        "a.csv",
        "a.xml",
        "clip_overlay.mp4",
        "Thumbs.db",
        "._a.png",
    )
    fill(tmp_path, *kept, *quiet)
    (tmp_path / "gone.tif").unlink()
    (tmp_path / "gone.tif").symlink_to("nowhere")
    sources = find_sources(tmp_path)
    assert names(sources.images) == ["a.png", "b.JFIF"]
    assert names(sources.unread) == ["c.czi", "d.zarr", "gone.tif", "notes.docx"]
    assert names([path for path in sources.unread if is_foreign_image(path)]) == ["c.czi", "d.zarr"]
    assert names(find_sources(f"{tmp_path}/[abcd]*").unread) == ["c.czi", "d.zarr"]


def test_a_folder_of_other_kinds_alone_says_what_there_is(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{i}.czi" for i in range(7)))
    with pytest.raises(InputError, match=r"none ending in .*there are 0\.czi, 1\.czi, .* and 2 more"):
        list_sources(tmp_path)


def test_subfolders(tmp_path: Path) -> None:
    fill(tmp_path, "b.png", "a/b.png", "a/c/d.tif", "a/c/e.nd2", ".git/x.png", "f.zarr/y.png", "out/z.png", "a_b.png")
    sources = find_sources(tmp_path, recursive=True, out=tmp_path / "a/../out")
    assert sources.names == ["a/b.png", "a/c/d.tif", "a_b.png", "b.png"]
    assert sources.stems == ["a_b", "a_c_d", "a_b", "b"]
    assert names(sources.unread) == ["e.nd2", "f.zarr"]
    assert find_sources(tmp_path).names == ["a_b.png", "b.png"]
    assert "out/z.png" in find_sources(tmp_path, recursive=True, out=tmp_path).names


def test_stems_do_not_grow_beyond_what_a_file_may_be_called(tmp_path: Path) -> None:
    long = "n" * 90
    fill(tmp_path, f"{long}/{long}/{long}.png")
    assert find_sources(tmp_path, recursive=True).stems == [long]


def test_names_as_long_as_a_file_system_takes_leave_room_for_more_and_stay_different(tmp_path: Path) -> None:
    longest = ["n" * 250 + "a.png", "n" * 250 + "b.png", "é" * 125 + ".png"]
    fill(tmp_path, *longest)
    for sources in (find_sources(tmp_path), find_sources(tmp_path, recursive=True)):
        assert len(sources.stems) == len(set(sources.stems)) == 3
    for stem in sources.stems:
        write_image(tmp_path / f"{stem}_overlay.png", np.zeros((2, 2, 3), np.uint8))


def test_subfolders_are_those_of_a_folder(folder: Path) -> None:
    for source in (folder / "a.jpg", f"{folder}/*.jpg", folder / "gone"):
        with pytest.raises(InputError, match="expected a folder to be gone through"):
            find_sources(source, recursive=True)


def test_pictures_that_this_program_wrote_are_left_out(tmp_path: Path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    (tmp_path / "sub").mkdir()
    for name in ("x_overlay.png", "x_overlay.jpg", "x_labels.png", "x_labels.tif", "sub/mask000.tif", "x-2_iam.png"):
        write_image(tmp_path / name, picture)
    with pytest.raises(InputError, match="pictures that sparseinst wrote are left out"):
        find_sources(tmp_path, recursive=True)
    Image.fromarray(picture).save(tmp_path / "y_overlay.png")
    write_image(tmp_path / "named.png", picture)
    sources = find_sources(tmp_path, recursive=True)
    assert (sources.names, sources.unread) == (["named.png", "y_overlay.png"], ())
    assert names(list_sources(f"{tmp_path}/*.png")) == ["named.png", "y_overlay.png"]
    assert list_sources(tmp_path / "x_overlay.png") == [tmp_path / "x_overlay.png"], "a file named is meant"


def test_arrays_are_images_where_there_are_no_pictures(tmp_path: Path) -> None:
    for name in ("a.npy", "b.npy", "b_seg.npy"):
        (tmp_path / name).touch()
    assert [path.name for path in find_sources(tmp_path).images] == ["a.npy", "b.npy"]
    (tmp_path / "c.png").touch()
    found = find_sources(tmp_path)
    assert [path.name for path in found.images] == ["c.png"] and len(found.unread) == 3


@pytest.mark.parametrize("name", ["a\0*.png", "~\0/a.png", "~nobody-of-this-name/*.png", "a" * 5000 + "*"])
def test_names_that_no_file_system_takes_match_nothing(name: str) -> None:
    for read in (find_sources, list_input, resolve_data):
        with pytest.raises(InputError, match="found no"):
            read(name)
