import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cutout_files import write_cutouts
from sparseinst.config.preprocess import ShortSideConfig
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.synthetic import synthesise
from sparseinst.data.synthetic_cutouts import split_files
from sparseinst.data.synthetic_scene import SceneConfig
from sparseinst.errors import InputError

SCENE = SceneConfig(size_hw=(64, 80), objects=(2, 6), scale=(0.2, 0.6))


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def cutouts(tmp_path: Path) -> Path:
    return write_cutouts(tmp_path / "cutouts")


def test_a_data_set_that_can_be_trained_on(cutouts: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "scenes"
    made = synthesise(cutouts, out, count=12, val_count=3, scene=SCENE)
    assert made.classes == ("box", "disc") and made.images == {"train": 12, "val": 3}
    assert made.objects == {"train": 6, "val": 2}
    assert sorted(path.name for path in out.parent.iterdir()) == ["scenes"]
    source = resolve_data(out)
    for name, split in (("train", source.train), ("val", source.val)):
        dataset = CocoDataset.load(split.images, split.annotations)
        assert len(dataset) == made.images[name] and dataset.instances == made.instances[name] > 0
        for index in range(len(dataset)):
            assert dataset.image(index, ShortSideConfig()).shape == (64, 80, 3)
            masks = dataset.masks(index)
            assert masks.any((1, 2)).all() and masks.sum(0).max(initial=0) <= 1
    content = json.loads((out / "train.json").read_text())
    for annotation in content["annotations"]:
        category = content["categories"][annotation["category_id"] - 1]["name"]
        assert annotation["cutout"].startswith(f"{category}/")
        x, y, width, height = annotation["bbox"]
        assert x >= 0 and y >= 0 and x + width <= 80 and y + height <= 64
        assert 0 < annotation["area"] <= width * height


def test_the_seed_decides_and_not_the_workers(cutouts: Path, tmp_path: Path) -> None:
    def made(name: str, **changes: int) -> dict[str, bytes]:
        synthesise(cutouts, tmp_path / name, **({"count": 20, "val_count": 2, "scene": SCENE} | changes))
        return contents(tmp_path / name)

    alone = made("alone")
    assert made("others", workers=2) == alone
    fewer = made("fewer", count=5)  # a scene does not depend on how many there are
    assert all(alone[name] == data for name, data in fewer.items() if name.endswith(".jpg"))
    other = made("other", seed=1)
    assert other.keys() == alone.keys() and all(other[name] != alone[name] for name in alone)
    assert alone["train/000000.jpg"] != alone["val/000000.jpg"]


@given(st.integers(0, 2**31), st.text(max_size=9), st.integers(2, 30))
def test_the_split_keeps_every_object_once(seed: int, name: str, count: int) -> None:
    files = [Path(f"{i}.png") for i in range(count)]
    train, val = split_files(name, files, seed)
    assert sorted((*train, *val)) == sorted(files) and train
    assert len(val) == max(1, round(count / 4))
    assert split_files(name, files, seed) == (train, val)


def test_objects_of_validation_are_never_trained_on(tmp_path: Path) -> None:
    cutouts = write_cutouts(tmp_path / "cutouts", ("a", "b", "c"))
    seen: dict[str, dict[str, set[str]]] = {}
    for classes in (None, ("a", "b")):
        out = tmp_path / str(classes)
        synthesise(cutouts, out, count=30, val_count=10, scene=SCENE, classes=classes)
        seen[out.name] = {
            name: {item["cutout"] for item in json.loads((out / f"{name}.json").read_text())["annotations"]}
            for name in ("train", "val")
        }
    (whole, part) = seen.values()
    assert len(whole["train"]) == 9 and len(whole["val"]) == 3 and not whole["train"] & whole["val"]
    assert part == {name: {item for item in items if not item.startswith("c/")} for name, items in whole.items()}


def test_photographs_lie_behind_and_are_split(cutouts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for red in (0, 80, 160, 240):
        Image.new("RGB", (50 + red, 200), (red, 0, 0)).save(folder / f"{red}.jpg")
    scene = SCENE.model_copy(update={"objects": (0, 1)})
    synthesise(cutouts, tmp_path / "out", count=30, val_count=8, scene=scene, backgrounds=folder)
    shades = {}
    for name in ("train", "val"):
        pictures = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "out" / name).iterdir())]
        # every corner of a nearly empty scene is background, but for one at most
        shades[name] = {round(np.median(p[[0, 0, -1, -1], [0, -1, 0, -1], 0]) / 80) for p in pictures}
    assert len(shades["train"]) == 3 and len(shades["val"]) == 1
    assert not shades["train"] & shades["val"]


def test_a_worker_that_fails_says_why_and_leaves_nothing(cutouts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i in range(4):
        (folder / f"{i}.jpg").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"\d\.jpg: expected a whole image file"):
        synthesise(cutouts, tmp_path / "out", count=40, val_count=1, scene=SCENE, backgrounds=folder, workers=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cutouts", "photographs"]


def test_what_cannot_be_pasted(cutouts: Path, tmp_path: Path) -> None:
    def fails(match: str, **changes: object) -> None:
        with pytest.raises(InputError, match=match):
            synthesise(**({"cutouts": cutouts, "out": tmp_path / "out", "count": 2, "val_count": 1} | changes))
        assert sorted(path.name for path in tmp_path.iterdir()) == before

    Image.new("RGBA", (9, 9)).save(cutouts / "disc" / "9.png")
    write_cutouts(tmp_path / "one", objects=1)
    (tmp_path / "empty").mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    fails("no pixel that is more than half opaque")
    Image.new("RGB", (9, 9)).save(cutouts / "disc" / "9.png")
    fails(r"9\.png: expected a cut-out with transparency, got RGB")
    (cutouts / "disc" / "9.png").write_bytes((cutouts / "disc" / "0.png").read_bytes()[:90])
    fails(r"9\.png: expected a whole image file")
    (cutouts / "disc" / "9.png").unlink()
    fails("at least one scene", val_count=0)
    fails("expected a folder of cut-outs, found none", cutouts=tmp_path / "nowhere")
    fails("for each category", cutouts=tmp_path / "empty")
    fails("at least two cut-outs", cutouts=tmp_path / "one")
    fails("among box, disc, got ball", classes=["disc", "ball"])
    fails("among box, disc, got none", classes=[])
    fails("at least two photographs", backgrounds=tmp_path / "empty")
    fails("not there yet", out=cutouts)
