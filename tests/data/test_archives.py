"""Images in tar shards and Parquet files: the same samples in the same order as from files, from any step on."""

import io
import json
import tarfile
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from shapes import tiny_preset, write_split
from sparseinst.data.coco import CocoDataset
from sparseinst.data.loader import training_loader
from sparseinst.errors import InputError
from sparseinst.training.logs import read_table
from sparseinst.training.trainer import train


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("files")
    write_split(root, "train", 11, first=0)
    return root


def as_tar(files: Path, root: Path) -> None:
    """Two shards of files and labels, in another order than that of the annotations."""
    (root / "train").mkdir(parents=True)
    paths = sorted((files / "train").iterdir(), reverse=True)
    for number, part in enumerate((paths[:4], paths[4:])):
        with tarfile.open(root / "train" / f"part-{number}.tar", "w") as archive:
            for path in part:
                archive.add(path, f"./photos/{path.name}")
                label = tarfile.TarInfo(f"photos/{path.stem}.cls")
                label.size = 1
                archive.addfile(label, io.BytesIO(b"1"))


def as_parquet(files: Path, root: Path) -> None:
    """Row groups of three; names in a column."""
    (root / "train").mkdir(parents=True)
    paths = sorted((files / "train").iterdir(), reverse=True)
    table = pa.table({"key": [path.name for path in paths], "jpg": [path.read_bytes() for path in paths]})
    pq.write_table(table, root / "train" / "images.parquet", row_group_size=3)


def as_structs(files: Path, root: Path) -> None:
    """As the datasets library writes images."""
    (root / "train").mkdir(parents=True)
    rows = [{"bytes": path.read_bytes(), "path": path.name} for path in sorted((files / "train").iterdir())]
    pq.write_table(pa.table({"image": rows}), root / "train" / "images.parquet", row_group_size=4)


@pytest.fixture(scope="module", params=[as_tar, as_parquet, as_structs])
def stored(request, files, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("stored") / "set"
    request.param(files, root)
    (root / "train.json").write_bytes((files / "train.json").read_bytes())
    return root


def batches(root: Path, workers: int, start: int) -> list[tuple[torch.Tensor, ...]]:
    preset = tiny_preset(workers=workers, batch=4)
    dataset = CocoDataset.load(root / "train", root / "train.json")
    loader = training_loader(dataset, preset.model, preset.recipe, start_iteration=start)
    return [
        (batch.images, torch.tensor(batch.image_ids), *(target.masks for target in batch.targets))
        for batch in islice(loader, 4)
    ]


def test_samples_and_their_order_are_those_of_files(files, stored) -> None:
    expected = batches(files, 0, 0)
    for workers, start in ((0, 0), (2, 0), (0, 2)):
        found = batches(stored, workers, start)
        for one, other in zip(found[: 4 - start], expected[start:], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_run_is_that_of_files(files, stored, tmp_path) -> None:
    preset = tiny_preset(iterations=3, held_out=0.3)
    for name, root in (("files", files), ("stored", stored)):
        train(root, preset, tmp_path / name, init="random", device="cpu", log=())
    logs = [read_table(tmp_path / name / "metrics.csv") for name in ("files", "stored")]
    assert [row["loss"] for row in logs[0]] == [row["loss"] for row in logs[1]]
    tables = [read_table(tmp_path / name / "evaluation.csv") for name in ("files", "stored")]
    assert [row["ap"] for row in tables[0]] == [row["ap"] for row in tables[1]] and len(tables[0]) == 1


def test_what_is_missing_or_twice_is_named(files, stored, tmp_path) -> None:
    content = json.loads((files / "train.json").read_text())
    content["images"].append({**content["images"][0], "id": 999, "file_name": "absent.png"})
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"1 are missing.*absent\.png"):
        CocoDataset.load(stored / "train", tmp_path / "train.json")
    (archive,) = list((stored / "train").iterdir())[:1]
    (tmp_path / "train").mkdir()
    for name in ("a", "b"):
        (tmp_path / "train" / f"{name}{archive.suffix}").write_bytes(archive.read_bytes())
    with pytest.raises(InputError, match="each image once"):
        CocoDataset.load(tmp_path / "train", files / "train.json")


def test_a_damaged_archive_is_named(files, tmp_path) -> None:
    (tmp_path / "train").mkdir()
    for name in ("a.tar", "a.parquet"):
        (tmp_path / "train" / name).write_bytes(b"nothing of the kind" * 40)
        with pytest.raises(InputError, match=name):
            CocoDataset.load(tmp_path / "train", files / "train.json")
        (tmp_path / "train" / name).unlink()
