import io
import json
import os
import subprocess
import sys
from functools import partial

import pytest
from PIL import Image

from hub_server import TOKEN, Hub, serve
from sparseinst.hub.publish import push_to_hub


@pytest.fixture
def hub(monkeypatch):
    """The package pushes to a Hub on this machine."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with serve(Hub()) as running:
        monkeypatch.setattr("sparseinst.hub.publish.push_to_hub", partial(push_to_hub, endpoint=running.url))
        yield running


def test_a_network_its_figures_and_a_drawn_picture_are_pushed(cli, hub, checkpoint, tiny_data, tmp_path) -> None:
    (tmp_path / "figures.json").write_text(json.dumps({"ap": 0.625, "max_dets": 100}))
    picture = tiny_data / "val" / "0.png"
    result = cli(
        "push", checkpoint, "me/tiny", "--private", "--picture", picture, "--metrics", tmp_path / "figures.json",
        "--measured-on", "Discs val", "--limits", "No stars.", "--license", "apache-2.0",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert f"pushed: {hub.url}/me/tiny" in result.stdout
    assert "--model hf:me/tiny" in result.stdout
    repo = hub.repos["me/tiny"]
    assert repo.private
    (files,) = repo.commits
    assert files["model.safetensors"] == checkpoint.read_bytes()
    card = files["README.md"].decode()
    assert all(part in card for part in ("0.625", "Discs val", "No stars.", "license: apache-2.0"))
    with Image.open(io.BytesIO(files["picture.png"])) as drawn, Image.open(picture) as image:
        assert drawn.width > image.width and drawn.width % image.width == 0  # enlarged to be legible


def test_mistakes_are_one_line_and_push_nothing(cli, hub, checkpoint, tmp_path) -> None:
    for arguments, message in (
        ((checkpoint, "tiny"), "error: 'tiny': expected owner/name"),
        ((checkpoint, "you/tiny"), "error: you/tiny: this login may not write there"),
        (("r50", "me/tiny"), "error: model 'r50': expected a checkpoint"),
        ((checkpoint, "me/tiny", "--picture", tmp_path / "none.png"), "none.png: expected a file"),
    ):
        result = cli("push", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr and result.stderr.count("\n") == 1
    assert hub.repos == {}


def test_the_usual_settings_of_the_hub_are_respected(checkpoint, tiny_data, tmp_path) -> None:
    with serve(Hub()) as hub:
        names = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
        command = [sys.executable, "-m", "sparseinst.cli"]
        push = [*command, "push", str(checkpoint), "me/tiny"]
        predict = [*command, "predict", str(tiny_data / "val" / "0.png"), "--model", "hf:me/tiny", "--out", "found"]
        for arguments in (push, predict):
            done = subprocess.run(arguments, env=os.environ | names, cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    assert (tmp_path / "found").is_dir()
    assert list((tmp_path / "hub").glob("models--me--tiny/snapshots/*/model.safetensors"))
