"""Fetching from and pushing to a Hub that runs on this machine."""

import io
import json
import socket
import threading
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from hub_server import TOKEN, Hub, Repo, serve, sha
from sparseinst.errors import InputError
from sparseinst.hub.publish import push_to_hub
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.zoo.checkpoint import save_checkpoint
from sparseinst.zoo.download import FILE, fetch
from sparseinst.zoo.header import checkpoint_extra
from sparseinst.zoo.models import load_model
from tiny import tiny_config


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No login of this machine's user, no waiting between attempts, and plain uploads."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture
def hub():
    with serve(Hub()) as running:
        yield running


@pytest.fixture(scope="module")
def network() -> SparseInst:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return build_model(tiny_config()).eval()


@pytest.fixture
def checkpoint(network: SparseInst, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "run" / "best.safetensors", network, extra={"note": "from a test"}, half=True)
    return tmp_path / "run" / "best.safetensors"


def outputs(model: SparseInst) -> torch.Tensor:
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        return torch.cat([part.flatten() for part in model(images)])


def front_matter(card: bytes) -> dict:
    start, content, _ = card.decode().split("---\n", 2)
    assert start == ""
    return yaml.safe_load(content)


@pytest.mark.usefixtures("login")
def test_a_network_comes_back_equal(hub: Hub, network: SparseInst, tmp_path: Path) -> None:
    url = push_to_hub(network, "me/tiny", facts={"note": "known"}, endpoint=hub.url)
    assert url == f"{hub.url}/me/tiny"
    path = fetch("hf:me/tiny", endpoint=hub.url, cache_dir=tmp_path)
    again = load_model(path)
    assert again.config == network.config
    torch.testing.assert_close(outputs(again), outputs(network), rtol=0, atol=0)
    assert checkpoint_extra(path) == {"note": "known"}


def test_load_model_takes_names_of_the_hub(hub: Hub, checkpoint: Path, tmp_path: Path, monkeypatch) -> None:
    hub.repos["me/tiny"] = Repo()
    hub.repos["me/tiny"].commit({FILE: checkpoint.read_bytes()})
    path = fetch("hf:me/tiny", endpoint=hub.url, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    torch.testing.assert_close(outputs(load_model("hf:me/tiny")), outputs(load_model(path)), rtol=0, atol=0)
    with pytest.raises(InputError, match="brings its own weights"):
        load_model("hf:me/tiny", random_weights=True)


def test_the_newest_is_fetched_unless_a_revision_is_named(hub: Hub, tmp_path: Path) -> None:
    repo = hub.repos["me/tiny"] = Repo()
    first = repo.commit({FILE: b"first"})
    assert fetch("hf:me/tiny", endpoint=hub.url, cache_dir=tmp_path).read_bytes() == b"first"
    second = repo.commit({FILE: b"second"})
    assert fetch("hf:me/tiny", endpoint=hub.url, cache_dir=tmp_path).read_bytes() == b"second"
    assert fetch(f"hf:me/tiny@{first}", endpoint=hub.url, cache_dir=tmp_path).read_bytes() == b"first"
    assert fetch(f"hf:me/tiny@{second}", endpoint=hub.url, cache_dir=tmp_path).read_bytes() == b"second"
    downloads = [request for request in hub.requests if request.startswith("GET")]
    assert len(downloads) == 2
    with pytest.raises(InputError, match="me/tiny has no branch, tag or commit 'v9'"):
        fetch("hf:me/tiny@v9", endpoint=hub.url, cache_dir=tmp_path)


def test_without_a_network_the_cached_file_is_taken(tmp_path: Path, monkeypatch) -> None:
    with serve(Hub()) as hub:
        hub.repos["me/tiny"] = Repo()
        hub.repos["me/tiny"].commit({FILE: b"weights"})
        path = fetch("hf:me/tiny", endpoint=hub.url, cache_dir=tmp_path)
    assert fetch("hf:me/tiny", endpoint=hub.url, cache_dir=tmp_path) == path
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert fetch("hf:me/tiny", endpoint=hub.url, cache_dir=tmp_path) == path
    assert fetch(f"hf:me/tiny@{sha(0)}", endpoint=hub.url, cache_dir=tmp_path) == path


def test_a_connection_that_breaks_off_does_not_hide_the_cached_file(tmp_path: Path, caplog) -> None:
    with serve(Hub()) as hub:
        hub.repos["me/tiny"] = Repo()
        hub.repos["me/tiny"].commit({FILE: b"weights"})
        path = fetch("hf:me/tiny", endpoint=hub.url, cache_dir=tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            while True:
                try:
                    listener.accept()[0].close()
                except OSError:  # the test is over
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert fetch("hf:me/tiny", endpoint=url, cache_dir=tmp_path) == path
        assert "the cached file is used" in caplog.text
        with pytest.raises(InputError, match=r"hf:me/other: model\.safetensors of me/other is not in the cache"):
            fetch("hf:me/other", endpoint=url, cache_dir=tmp_path)
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("offline", [False, True])
def test_neither_network_nor_cache_says_what_to_fetch(tmp_path: Path, monkeypatch, offline: bool) -> None:
    with serve(Hub()) as hub:
        pass
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    with pytest.raises(InputError) as error:
        fetch("hf:me/tiny@v1", endpoint=hub.url, cache_dir=tmp_path)
    message = str(error.value)
    assert "hf:me/tiny@v1: model.safetensors of me/tiny is not in the cache" in message
    assert ("HF_HUB_OFFLINE is set" if offline else "cannot be reached") in message
    assert "`hf download me/tiny model.safetensors --revision v1`" in message and "HF_HOME" in message


def test_a_repository_of_something_else_is_listed(hub: Hub, tmp_path: Path) -> None:
    hub.repos["me/text"] = Repo()
    hub.repos["me/text"].commit({f"part_{i:02}.bin": b"x" for i in range(20)})
    with pytest.raises(InputError) as error:
        fetch("hf:me/text", endpoint=hub.url, cache_dir=tmp_path)
    assert "expected model.safetensors in me/text, found part_00.bin, part_01.bin" in str(error.value)
    assert "and 8 more" in str(error.value) and "sparseinst push" in str(error.value)


def test_a_file_of_this_name_but_of_something_else_is_refused(hub: Hub, tmp_path: Path) -> None:
    save_file({"embedding": torch.ones(2)}, tmp_path / "other.safetensors", metadata={"format": "pt"})
    hub.repos["me/text"] = Repo()
    hub.repos["me/text"].commit({FILE: (tmp_path / "other.safetensors").read_bytes()})
    with pytest.raises(InputError, match=r"me--text.*expected a sparseinst checkpoint"):
        load_model(fetch("hf:me/text", endpoint=hub.url, cache_dir=tmp_path))


def test_what_may_not_be_read_asks_for_a_login(hub: Hub, tmp_path: Path, monkeypatch) -> None:
    hub.repos |= {"me/secret": Repo(private=True), "me/gated": Repo(gated=True)}
    hub.repos["me/secret"].commit({FILE: b"weights"})
    for name in ("me/nothing", "me/secret"):
        with pytest.raises(InputError, match=f"expected a repository {name}, found none.*`hf auth login`"):
            fetch(f"hf:{name}", endpoint=hub.url, cache_dir=tmp_path)
    with pytest.raises(InputError, match="me/gated is gated: ask for access on its page"):
        fetch("hf:me/gated", endpoint=hub.url, cache_dir=tmp_path)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert fetch("hf:me/secret", endpoint=hub.url, cache_dir=tmp_path).read_bytes() == b"weights"
    with pytest.raises(InputError, match="expected a repository me/nothing, found none"):
        fetch("hf:me/nothing", endpoint=hub.url, cache_dir=tmp_path)


@pytest.mark.parametrize("name", ["hf:", "hf:tiny", "hf:a/b/c", "hf:/b", "hf:a/", "hf:me/ti ny", "hf:me/tiny@", "tiny"])
def test_malformed_names_ask_nobody(hub: Hub, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"expected (hf:)?owner/name"):
        fetch(name, endpoint=hub.url, cache_dir=tmp_path)
    assert hub.requests == []


@pytest.mark.usefixtures("login")
def test_checkpoint_card_and_picture_are_one_commit(hub: Hub, checkpoint: Path) -> None:
    picture = np.zeros((9, 7, 3), np.uint8)
    picture[2:5, 1:4] = (255, 0, 10)
    metrics = {"max_dets": 100, "ap": 0.25, "ap50": 0.5, "ap_large": None, "images": 3}
    push_to_hub(
        checkpoint, "me/tiny", metrics=metrics, measured_on="Discs val", picture=picture, limits="No stars.",
        license="apache-2.0", message="First", endpoint=hub.url,
    )  # fmt: skip
    repo = hub.repos["me/tiny"]
    assert repo.messages == ["First"] and not repo.private
    (files,) = repo.commits
    assert set(files) == {FILE, "README.md", "picture.png"}
    assert files[FILE] == checkpoint.read_bytes()  # half precision and all that it tells
    assert np.array_equal(Image.open(io.BytesIO(files["picture.png"])), picture)
    matter = front_matter(files["README.md"])
    assert matter["license"] == "apache-2.0"
    assert matter["model-index"][0]["results"][0]["dataset"]["name"] == "Discs val"
    card = files["README.md"].decode()
    assert (
        "(picture.png)" in card and "No stars." in card and "from a test" in card and 'Predictor("hf:me/tiny")' in card
    )


@pytest.mark.usefixtures("login")
def test_a_second_push_adds_a_commit_and_takes_the_metrics_from_a_file(
    hub: Hub, network: SparseInst, tmp_path: Path
) -> None:
    push_to_hub(network, "me/tiny", private=True, endpoint=hub.url)
    (tmp_path / "figures.json").write_text(json.dumps({"ap": 0.125}))
    Image.new("L", (5, 4), 200).save(tmp_path / "grey.jpg")
    push_to_hub(
        network, "me/tiny", private=True, metrics=tmp_path / "figures.json", measured_on="Discs",
        picture=tmp_path / "grey.jpg", endpoint=hub.url,
    )  # fmt: skip
    repo = hub.repos["me/tiny"]
    assert repo.private and len(repo.commits) == 2
    assert "model-index" not in front_matter(repo.commits[0]["README.md"])
    assert "0.125" in repo.commits[1]["README.md"].decode()
    assert Image.open(io.BytesIO(repo.commits[1]["picture.png"])).size == (5, 4)


@pytest.mark.usefixtures("login")
def test_nothing_secret_goes_into_a_public_repository(hub: Hub, network: SparseInst) -> None:
    hub.repos["me/open"] = Repo()
    with pytest.raises(InputError, match="me/open: expected a private repository, but there is a public one"):
        push_to_hub(network, "me/open", private=True, endpoint=hub.url)
    assert hub.repos["me/open"].commits == [] and hub.blobs == {}


def test_a_push_without_the_right_to_says_which_is_missing(hub: Hub, network: SparseInst, monkeypatch) -> None:
    with pytest.raises(InputError, match=r"expected a login that may write.*`hf auth login`"):
        push_to_hub(network, "me/tiny", endpoint=hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(InputError, match=r"you/tiny: this login may not write there.*instead of you"):
        push_to_hub(network, "you/tiny", endpoint=hub.url)
    assert hub.repos == {}


@pytest.mark.usefixtures("login")
def test_what_the_hub_refuses_is_told_and_leaves_nothing_half_there(hub: Hub, network: SparseInst) -> None:
    with pytest.raises(InputError, match=r"me/tiny: could not be put on the Hub.*license.*must be one of"):
        push_to_hub(network, "me/tiny", license="my own", endpoint=hub.url)
    hub.broken_uploads = True
    with pytest.raises(InputError, match=r"me/tiny: could not be put on the Hub.*the store is full"):
        push_to_hub(network, "me/tiny", endpoint=hub.url)
    assert hub.repos["me/tiny"].commits == []


def test_without_a_network_nothing_is_pushed(network: SparseInst) -> None:
    with serve(Hub()) as hub:
        pass
    with pytest.raises(InputError, match="me/tiny: could not be put on the Hub"):
        push_to_hub(network, "me/tiny", endpoint=hub.url)


@pytest.mark.usefixtures("login")
def test_wrong_arguments_are_told_before_anybody_is_asked(
    hub: Hub, network: SparseInst, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "text.json").write_text("ap: 1")
    for model, options, message in (
        (network, {"metrics": {"ap": 0.5}}, "name of the images.*--measured-on"),
        (network, {"metrics": {"speed": "fast"}, "measured_on": "x"}, "expected figures such as ap.*got speed"),
        (network, {"metrics": tmp_path / "none.json", "measured_on": "x"}, r"none\.json: expected a JSON file"),
        (network, {"metrics": tmp_path / "list.json", "measured_on": "x"}, r"list\.json: expected an object"),
        (network, {"metrics": tmp_path / "text.json", "measured_on": "x"}, r"text\.json: expected JSON"),
        (network, {"picture": tmp_path / "none.png"}, r"none\.png: expected an image file"),
        (network, {"picture": np.zeros((3, 3, 7), np.uint8)}, "expected an image"),
        (checkpoint, {"facts": {"a": 1}}, "expected no facts with a file"),
        ("r50", {}, "'r50': expected a checkpoint"),
        (tmp_path / "none.safetensors", {}, r"none\.safetensors: expected a \.safetensors file, found none"),
    ):
        with pytest.raises(InputError, match=message):
            push_to_hub(model, "me/tiny", endpoint=hub.url, **options)
    with pytest.raises(InputError, match="'tiny': expected owner/name"):
        push_to_hub(network, "tiny", endpoint=hub.url)
    assert hub.requests == []
