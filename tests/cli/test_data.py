import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.errors import InputError


@pytest.fixture
def cutouts(tmp_path: Path) -> Path:
    for name in ("cat", "dog", "owl"):
        (tmp_path / "cutouts" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGBA", (20, 30 + i), (200, 90, 10 * i, 255)).save(tmp_path / "cutouts" / name / f"{i}.png")
    return tmp_path / "cutouts"


def test_synth_makes_a_data_set(cli, cutouts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = cli(
        "data", "synth", "--cutouts", cutouts, "--out", out, "--count", 5, "--size", "48x64", "--objects", "2-3",
        "--classes", "dog, cat", "--workers", 0,
    )  # fmt: skip
    assert result.exit_code == 0
    assert "train: 5 images" in result.stdout and "val: 1 images" in result.stdout and "cat, dog" in result.stdout
    split = resolve_data(out).train
    dataset = CocoDataset.load(split.images, split.annotations)
    assert dataset.size_hw(0) == (48, 64) and dataset.classes == ("cat", "dog")
    assert all(len(dataset.labels(index)) <= 3 for index in range(5))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--objects", "5", "as in 1-10"),
        ("--objects", "5-2", "low <= high"),
        ("--size", "8x8", "at least 32"),
        ("--classes", "fox", "got fox"),
    ],
)
def test_synth_says_what_is_wrong(cli, cutouts: Path, tmp_path: Path, option: str, value: str, message: str) -> None:
    result = cli("data", "synth", "--cutouts", cutouts, "--out", tmp_path / "out", option, value)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and message in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_data_names_its_commands(cli) -> None:
    assert " synth " in cli("data", "--help").stdout


def package(path: Path, characters: str) -> Path:
    """An npm package with one picture of each character."""
    picture = io.BytesIO()
    image = Image.new("RGBA", (16, 16), (9, 200, 30, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))  # or else the file would not keep its alpha
    image.save(picture, "WEBP")
    with tarfile.open(path, "w:gz") as archive:
        for i, character in enumerate(characters):
            ending = "-fe0f" if i % 2 else ""
            member = tarfile.TarInfo(f"package/assets/{ord(character):x}{ending}.webp")
            member.size = len(picture.getvalue())
            archive.addfile(member, io.BytesIO(picture.getvalue()))
    return path


def test_emoji_become_cutouts(cli, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    from emoji_cutouts import CLASSES, extract

    objects = [character for group in CLASSES.values() for character in group]
    assert len(CLASSES) >= 20 and min(map(len, CLASSES.values())) >= 8 and len(set(objects)) == len(objects)
    with pytest.raises(InputError, match="found 3"):
        extract(package(tmp_path / "small.tgz", "🐦🐧🐤"), tmp_path / "emoji")
    with pytest.raises(InputError, match="cannot read it"):
        extract(tmp_path / "nowhere.tgz", tmp_path / "emoji")
    counts = extract(package(tmp_path / "whole.tgz", "".join(objects) + "🤖"), tmp_path / "emoji")
    assert counts == {name: len(group) for name, group in CLASSES.items()}
    result = cli(
        "data", "synth", "--cutouts", tmp_path / "emoji", "--out", tmp_path / "out", "--count", 2, "--size", "64x64",
        "--workers", 0,
    )  # fmt: skip
    assert result.exit_code == 0 and "30 classes" in result.stdout
