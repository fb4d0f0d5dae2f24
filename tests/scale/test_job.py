import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from scale_rows import rows_of
from sparseinst import InputError, Predictor
from sparseinst.scale.job import plan_batch, run_batch
from sparseinst.scale.results import instances_of, read_rows
from sparseinst.scale.rows import SCHEMA, read_facts


def test_a_row_is_what_a_predictor_finds(folder, files, checkpoint, settings, tmp_path) -> None:
    progress = run_batch(str(folder), tmp_path, settings(), processes=0)
    assert (progress.images, progress.failed, progress.share) == (11, 1, 1)
    rows = list(read_rows(tmp_path))
    assert [row["image"] for row in rows] == [str(path.relative_to(folder)) for path in files]
    predictor = Predictor(checkpoint, score=0.0)
    for row, path in zip(rows, files, strict=True):
        if row["status"] == "failed":
            assert row["image"] == "05b.jpg" and "cannot identify image file)" in row["error"] and row["width"] is None
            continue
        wanted, found = predictor(path), instances_of(row, predictor.classes)
        assert found.size_hw == wanted.size_hw and found.rles == wanted.rles and len(found) > 0
        assert np.array_equal(found.scores, wanted.scores) and found.names == wanted.names
        for item, box, area in zip(row["instances"], wanted.boxes, wanted.areas, strict=True):
            assert [item["box"][name] for name in ("x0", "y0", "x1", "y1")] == box.tolist()
            assert item["area"] == area


def test_every_file_says_what_it_was_made_by(folder, settings, tmp_path) -> None:
    run_batch(str(folder), tmp_path, settings(), processes=0)
    job = json.loads((tmp_path / "job.json").read_text())
    assert len(job["model_sha256"]) == 64 and job["settings"]["score"] == 0 and job["version"]
    paths = sorted((tmp_path / "rows").iterdir())
    assert len(paths) == 3
    for path in paths:
        assert read_facts(path).identity == job
        assert pq.read_schema(path).equals(SCHEMA)
    assert sum(read_facts(path).images for path in paths) == 11


def test_the_same_images_in_other_forms_are_the_same_rows(folder, shards, table, settings, tmp_path) -> None:
    wanted = results(folder, tmp_path / "folder", settings())
    by_tar = results(shards, tmp_path / "tar", settings())
    assert [row.pop("image").partition(".tar/")[2] for row in by_tar] == [row["image"] for row in wanted]
    assert by_tar == [{name: value for name, value in row.items() if name != "image"} for row in wanted]
    assert results(table, tmp_path / "table", settings()) == wanted
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{folder / row['image']}\n" for row in wanted))
    assert [Path(row["image"]).name for row in results(listed, tmp_path / "list", settings())] == [
        Path(row["image"]).name for row in wanted
    ]
    by_glob = results(folder / "0[1-3].png", tmp_path / "glob", settings())
    assert by_glob == wanted[1:4]


def test_batches_processes_and_shards_change_nothing(folder, settings, tmp_path) -> None:
    wanted = results(folder, tmp_path / "one", settings(batch=2))
    run_batch(str(folder), tmp_path / "two", settings(batch=2), processes=2)
    assert rows_of(tmp_path / "two") == wanted
    for number in (1, 0, 2):
        run_batch(str(folder), tmp_path / "shards", settings(batch=2), processes=0, shard=(number, 3))
    assert rows_of(tmp_path / "shards") == wanted


def test_what_is_there_is_not_done_again(folder, shards, settings, tmp_path) -> None:
    for source in (folder, shards):
        out = tmp_path / source.name
        wanted = results(source, out, settings())
        paths = sorted((out / "rows").iterdir())
        kept = {path: path.stat().st_mtime_ns for path in paths[1:]}
        paths[0].unlink()
        (out / "rows/.0000000-000000.77.tmp.parquet").write_bytes(b"half")
        progress = run_batch(str(source), out, settings(), processes=0)
        assert progress.already + progress.images == 11 and progress.images == 4
        assert {path: path.stat().st_mtime_ns for path in kept} == kept
        assert rows_of(out) == wanted and sorted((out / "rows").iterdir()) == paths
        assert run_batch(str(source), out, settings(), processes=0).images == 0


def test_another_job_is_refused(folder, checkpoint, settings, tmp_path) -> None:
    run_batch(str(folder), tmp_path, settings(), processes=0)
    with pytest.raises(InputError, match=r"settings.score was 0.0, is 0.5.*--out"):
        run_batch(str(folder), tmp_path, settings(score=0.5), processes=0)
    other = tmp_path / "other.safetensors"
    other.write_bytes(checkpoint.read_bytes() + b" ")
    with pytest.raises(InputError, match="model_sha256"):
        run_batch(str(folder), tmp_path, settings(model=str(other)), processes=0)
    with pytest.raises(InputError, match=r"input.files was 11, is 8"):
        run_batch(str(folder / "0*.png"), tmp_path, settings(), processes=0)
    (tmp_path / "job.json").unlink()
    with pytest.raises(InputError, match=r"0000000-000000.parquet: .*settings.score"):
        run_batch(str(folder), tmp_path, settings(score=0.5), processes=0)


def test_a_limit_takes_the_first_images(folder, shards, table, settings, tmp_path) -> None:
    for source in (folder, shards, table):
        out = tmp_path / source.name
        whole = results(source, out / "whole", settings())
        assert results(source, out / "part", settings(limit=7)) == whole[:7]


def test_torn_and_absent_files_are_rows(shards, table, settings, tmp_path) -> None:
    torn = tmp_path / "in"
    torn.mkdir()
    whole = (shards / "part-0.tar").read_bytes()
    (torn / "a.tar").write_bytes(whole[:20_000])
    (torn / "b.tar").write_bytes(b"no tar" * 1000)
    rows = results(torn, tmp_path / "out", settings())
    assert [row["status"] for row in rows] == ["ok"] * (len(rows) - 2) + ["failed"] * 2 and len(rows) > 2
    assert [row["image"] for row in rows[-2:]] == ["a.tar", "b.tar"]
    assert all("cannot be read on from here" in row["error"] for row in rows[-2:])
    assert run_batch(str(torn), tmp_path / "out", settings(), processes=0).images == 0
    listed = tmp_path / "list.txt"
    listed.write_text("gone.png\n")
    (row,) = results(listed, tmp_path / "gone", settings())
    assert row["status"] == "failed" and "there is no such file" in row["error"]


def test_a_plan_writes_nothing(folder, settings, tmp_path) -> None:
    plan = plan_batch(str(folder), tmp_path / "out", settings())
    assert len(plan.pieces) == 3 and len(list(plan.left)) == 3 and not (tmp_path / "out").exists()


def test_wrong_input_says_what_to_do(folder, shards, table, settings, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    mixed = tmp_path / "mixed.txt"
    mixed.write_text("a.tar\nb.png\n")
    for source, message in (
        (tmp_path / "gone", "found none"),
        (tmp_path / "empty", "found none"),
        (mixed, "got several of these"),
        ("nothing://there", "expected a file system"),
    ):
        with pytest.raises(InputError, match=message):
            run_batch(str(source), tmp_path / "out", settings(), processes=0)
    with pytest.raises(InputError, match="count from 0"):
        run_batch(str(folder), tmp_path / "out", settings(), processes=0, shard=(3, 3))
    with pytest.raises(InputError, match=r"expected a column cat of bytes or paths, got jpg, key"):
        run_batch(str(table), tmp_path / "out", settings(column="cat"), processes=0)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="limit must be at least 1"):
        settings(limit=0)


def results(source: Path, out: Path, settings):
    run_batch(str(source), out, settings, processes=0)
    return rows_of(out)
