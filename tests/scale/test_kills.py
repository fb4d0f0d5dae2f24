"""Jobs that are killed and go on: benchmarks/batch_kills.py does it a hundred times."""

import random
import time
from multiprocessing import get_context
from pathlib import Path

from scale_rows import rows_of
from sparseinst.scale.job import run_batch

KILLS = 5


def test_no_image_is_lost_or_done_twice(folder, settings, tmp_path) -> None:
    images = tmp_path / "list.txt"
    images.write_text(f"{folder / '01.png'}\n" * 300)
    once = settings(rows=3)
    run_batch(str(images), tmp_path / "alone", once, processes=0)
    context = get_context("forkserver")
    context.set_forkserver_preload(["sparseinst.scale.job"])
    kills, chance = 0, random.Random(0)
    while kills < KILLS:
        process = context.Process(
            target=run_batch, args=(str(images), tmp_path / "killed", once), kwargs={"processes": 0}
        )
        before = files_in(tmp_path / "killed")
        process.start()
        while process.is_alive() and files_in(tmp_path / "killed") == before:
            time.sleep(0.001)
        process.join(chance.uniform(0, 0.1))
        assert process.is_alive(), "the job is done: more images are needed"
        process.kill()
        process.join()
        kills += 1
    progress = run_batch(str(images), tmp_path / "killed", once, processes=0)
    assert progress.already > 0 and progress.images > 0 and progress.already + progress.images == 300
    assert rows_of(tmp_path / "killed") == rows_of(tmp_path / "alone")
    assert not list((tmp_path / "killed/rows").glob(".*"))


def files_in(out: Path) -> int:
    return len(list((out / "rows").glob("*.parquet")))
