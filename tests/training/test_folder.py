import pytest

from sparseinst.training.folder import run_folder


def test_a_run_without_a_folder_gets_the_next_free_one(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "cells"
    data.mkdir()
    names = []
    for _ in range(3):
        names.append(run_folder(data).as_posix())
        (tmp_path / names[-1]).mkdir(parents=True)
        assert run_folder(data, resume=True).as_posix() == names[-1]
    assert names == ["runs/cells", "runs/cells-2", "runs/cells-3"]
    assert run_folder("cells.yaml").as_posix() == "runs/cells-4"
    monkeypatch.chdir(data)
    assert run_folder(".").name == "cells"


@pytest.mark.parametrize("resume", [False, True])
def test_other_runs_do_not_count(tmp_path, monkeypatch, resume) -> None:
    monkeypatch.chdir(tmp_path)
    for other in ("cells-old", "cellsx", "my-cells-4"):
        (tmp_path / "runs" / other).mkdir(parents=True)
    assert run_folder("cells", resume=resume).as_posix() == "runs/cells"
