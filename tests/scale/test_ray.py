"""Jobs on Ray Data, undisturbed and with an actor or the driver killed; on a busy machine Ray begins in minutes."""

import signal
import time
from multiprocessing import get_context

import psutil
import pytest

from scale_rows import rows_of
from sparseinst.scale.job import run_batch

MANY = 400


@pytest.fixture(scope="module")
def _ray():
    ray = pytest.importorskip("ray", reason="Ray is an extra of its own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # workers that give way to all else take minutes on a busy machine
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


def test_ray_gives_the_same_rows(_ray, folder, shards, settings, tmp_path) -> None:
    for source in (folder, shards):
        run_batch(str(source), tmp_path / "here" / source.name, settings(batch=2), processes=0)
        out = tmp_path / "ray" / source.name
        progress = run_batch(str(source), out, settings(batch=2), ray="local")
        assert progress.images == 11
        assert rows_of(out) == rows_of(tmp_path / "here" / source.name)
        next((out / "rows").iterdir()).unlink()
        assert 0 < run_batch(str(source), out, settings(batch=2), ray="local").images <= 4
        assert rows_of(out) == rows_of(tmp_path / "here" / source.name)


@pytest.mark.matrix
def test_an_actor_that_is_killed_loses_nothing(_ray, folder, settings, tmp_path) -> None:
    source, killed = many(folder, tmp_path), []

    def kill(progress) -> None:
        if not killed:
            actors = [process for process in psutil.process_iter(["cmdline"]) if is_network(process)]
            actors[0].send_signal(signal.SIGKILL)
            killed.append(actors[0].pid)

    run_batch(str(source), tmp_path / "here", settings(), processes=0)
    progress = run_batch(str(source), tmp_path / "ray", settings(), ray="local", on_progress=kill)
    assert len(killed) == 1 and progress.images == MANY
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "here")


@pytest.mark.matrix
def test_a_driver_that_is_killed_goes_on(_ray, folder, settings, tmp_path) -> None:
    source, out = many(folder, tmp_path), tmp_path / "ray"
    run_batch(str(source), tmp_path / "here", settings(), processes=0)
    driver = get_context("spawn").Process(
        target=run_batch, args=(str(source), out, settings()), kwargs={"ray": "local"}
    )
    driver.start()
    while driver.is_alive() and not list(
        (out / "rows").glob("[!.]*.parquet")
    ):  # what begins with a dot is being written
        time.sleep(0.01)
    assert driver.is_alive()
    driver.kill()
    driver.join()
    progress = run_batch(str(source), out, settings(), ray="local")
    assert progress.already > 0 and progress.images > 0 and progress.already + progress.images == MANY
    assert rows_of(out) == rows_of(tmp_path / "here")


def many(folder, tmp_path):
    """A list of one image many times."""
    path = tmp_path / "list.txt"
    path.write_text(f"{folder / '01.png'}\n" * MANY)
    return path


def is_network(process) -> bool:
    """Whether a process is an actor of this job that runs the network."""
    title = " ".join(process.info["cmdline"] or [])
    ours = psutil.Process().children(recursive=True)
    return title.startswith("ray::") and "_Find" in title and process in ours
