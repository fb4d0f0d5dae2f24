from pathlib import Path

import pytest

from real import NUCLEI
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.errors import InputError


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
        else:
            path.mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize(
    ("train", "val"),
    [
        (("train", "train.json"), ("val", "val.json")),
        (("train2017", "annotations/instances_train2017.json"), ("val2017", "annotations/instances_val2017.json")),
        (("train", "train/_annotations.coco.json"), ("valid", "valid/_annotations.coco.json")),
    ],
)
def test_folder_layouts(tmp_path: Path, train: tuple[str, str], val: tuple[str, str]) -> None:
    touch(tmp_path, *train)
    alone = resolve_data(tmp_path)
    assert alone.train is not None and alone.val is None and alone.name == tmp_path.name
    touch(tmp_path, *val)
    both = resolve_data(str(tmp_path))
    assert both.train is not None and both.val is not None
    assert (both.train.images, both.train.annotations) == (tmp_path / train[0], tmp_path / train[1])
    assert (both.val.images, both.val.annotations) == (tmp_path / val[0], tmp_path / val[1])


def test_real_folders() -> None:
    source = resolve_data(NUCLEI)
    assert source.name == "nuclei" and source.train is not None and source.val is not None


def test_yaml_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    touch(tmp_path, "deep/pictures", "labels.json", "own")
    (tmp_path / "deep" / "cells.yaml").write_text(
        f"train: {{images: pictures, annotations: ../labels.json}}\n"
        f"val: {{images: {tmp_path / 'own'}, annotations: ../labels.json}}\n"
    )
    source = resolve_data(tmp_path / "deep" / "cells.yaml")
    assert source.name == "cells" and source.train is not None and source.val is not None
    assert source.train.images.samefile(tmp_path / "deep" / "pictures")
    assert source.train.annotations.samefile(tmp_path / "labels.json")
    assert source.val.images == tmp_path / "own"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: [", "expected YAML"),
        ("- 1", "found neither"),
        ("name: x", "found neither"),
        ("train: {images: a}", "train.annotations"),
        ("train: {images: a, annotations: b.json, mask: c}", "train.mask"),
        ("train: {images: a, annotations: b.json}\ntest: {}", "test"),
        ("train: {images: pictures, annotations: b.json}", "annotation file"),
        ("train: {images: a, annotations: labels.json}", "image folder"),
    ],
)
def test_yaml_errors_name_the_field(tmp_path: Path, text: str, words: str) -> None:
    touch(tmp_path, "pictures", "labels.json")
    (tmp_path / "d.yaml").write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        resolve_data(tmp_path / "d.yaml")
    assert str(tmp_path / "d.yaml") in str(caught.value)


def test_other_paths(tmp_path: Path) -> None:
    touch(tmp_path, "labels.json", "empty")
    with pytest.raises(InputError, match="found nothing"):
        resolve_data(tmp_path / "none")
    with pytest.raises(InputError, match="another file"):
        resolve_data(tmp_path / "labels.json")
    with pytest.raises(InputError, match=r"train\.json"):
        resolve_data(tmp_path / "empty")
    touch(tmp_path, "train.json")
    with pytest.raises(InputError, match="image folder"):
        resolve_data(tmp_path)
