"""The examples run as they are shown, on small data and for two steps."""

import csv
import os
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from page_runs import free_port
from prepared import prepare

EXAMPLES = Path(__file__).parents[1] / "examples"
LINES = 60
"""An example has fewer lines."""
START_S = 300


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder to run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs an example as `python examples/NAME ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_they_are_short() -> None:
    lines = {path.name: count(path) for path in EXAMPLES.glob("*.*") if path.suffix in (".py", ".sh")}
    assert len(lines) > 5 and max(lines.values()) < LINES, lines


def count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_train_on_your_folder(here, monkeypatch, capsys) -> None:
    prepare(here, ["my_data"])
    run("train_on_your_folder.py", "my_data", "2", monkeypatch=monkeypatch)
    assert "best AP" in capsys.readouterr().out
    assert (here / "runs/mine/report/index.html").is_file() and (here / "runs/mine/found/predictions.json").is_file()


def test_fine_tune(here, monkeypatch, capsys) -> None:
    prepare(here, ["my_data"])
    run("fine_tune.py", "my_data", "2", monkeypatch=monkeypatch)
    before, _, after = capsys.readouterr().out.rpartition("AP50 ")[2].partition(" -> ")
    assert float(before) > 0.5 and float(after.split()[0]) > 0.5


def test_large_tiff_and_zarr(here, monkeypatch, capsys) -> None:
    prepare(here, ["cells.png"])
    run("large_tiff_and_zarr.py", "cells.png", "700", monkeypatch=monkeypatch)
    last = capsys.readouterr().out.splitlines()[-1].split()
    assert int(last[0]) > 40 and abs(int(last[0]) - int(last[-5])) <= 2


def test_track_and_count(here, monkeypatch, capsys) -> None:
    prepare(here, ["clip.mp4"])
    run("track_and_count.py", "clip.mp4", monkeypatch=monkeypatch)
    with (here / "tracks.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["frame"] for row in rows}) == 12 and len({row["id"] for row in rows}) > 5
    assert "middle" in capsys.readouterr().out


def test_custom_backbone(here, monkeypatch, capsys) -> None:
    prepare(here, ["my_data"])
    run("custom_backbone.py", "my_data", "2", monkeypatch=monkeypatch)
    assert "best AP" in capsys.readouterr().out and (here / "runs/own/best.safetensors").is_file()


def test_custom_loss(here, monkeypatch, capsys) -> None:
    prepare(here, ["my_data"])
    run("custom_loss.py", "my_data", "2", monkeypatch=monkeypatch)
    assert "loss_quiet" in capsys.readouterr().out and (here / "quiet.safetensors").is_file()


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of a running service."""
    port = free_port()
    command = [sys.executable, "-m", "sparseinst.cli", "serve", "--port", str(port), "--backend", "torch"]
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        address, give_up = f"http://127.0.0.1:{port}", time.monotonic() + START_S
        while not _ready(address):
            assert process.poll() is None and time.monotonic() < give_up, "the service did not start"
            time.sleep(0.1)
        yield address
        process.terminate()


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_service_client(here, monkeypatch, capsys, service) -> None:
    prepare(here, ["cells.png"])
    run("service_client.py", "cells.png", service, monkeypatch=monkeypatch)
    assert int(capsys.readouterr().out.split()[0]) == 60


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_service_client_of_the_shell(here, service) -> None:
    prepare(here, ["cells.png"])
    told = subprocess.run(
        [str(EXAMPLES / "service_client.sh"), "cells.png", service], capture_output=True, text=True, check=True
    )
    assert told.stdout.count('"score"') == 60
