import pytest

from scale_rows import rows_of
from sparseinst.scale.job import run_batch


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
