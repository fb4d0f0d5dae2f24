from typing import Any

import pytest

from sparseinst.runtime.torch_backend import TorchBackend
from sparseinst.zoo.names import DEFAULT_MODEL, shipped_weights


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command would serve, which it is kept from doing."""
    given: dict[str, Any] = {}

    def capture(settings: Any, open_network: Any, *, on_listening: Any) -> None:
        given.update(settings=settings, open_network=open_network)
        on_listening("http://127.0.0.1:8000")

    monkeypatch.setattr("sparseinst.serving.server.serve", capture)
    monkeypatch.delenv("SPARSEINST_API_KEY", raising=False)
    return given


def test_it_says_where_the_page_is_and_serves_on_this_machine_alone(cli, checkpoint, served) -> None:
    result = cli("serve", "--model", checkpoint)
    assert result.exit_code == 0, result.stderr
    assert "http://127.0.0.1:8000" in result.stdout and "/v1/predict" in result.stdout
    assert "nuclei" not in result.stdout
    settings = served["settings"]
    assert (settings.host, settings.name, settings.shipped, settings.workers) == ("127.0.0.1", "tiny", False, 1)
    assert isinstance(served["open_network"](), TorchBackend)
    assert isinstance(served["open_network"](activation=True), TorchBackend)


def test_the_default_model_says_what_it_knows(cli, served) -> None:
    assert "nuclei in micrographs" in cli("serve").stdout
    assert (served["settings"].name, served["settings"].shipped) == (DEFAULT_MODEL, True)
    assert "nuclei in micrographs" not in cli("serve", "--weights", shipped_weights(DEFAULT_MODEL)).stdout
    assert not served["settings"].shipped


def test_options_become_settings(cli, served) -> None:
    cli(
        "serve", "--host", "0.0.0.0", "--port", 81, "--workers", 2, "--max-batch", 3,
        "--max-wait-ms", 4.5, "--queue", 55, "--timeout", 6, "--max-body-mb", 7, "--max-pixels", 8000,
        "--max-images", 9, "--api-key", "secret", "--score", 0.25, "--tile", 512, "--overlap", 64,
        "--scale", 1.5, "--max-instances", 20,
        "--cors", "https://a.example", "--cors", "https://b.example",
    )  # fmt: skip
    settings = served["settings"]
    assert settings.model_dump(exclude={"api_key", "name", "shipped"}) == {
        "host": "0.0.0.0", "port": 81, "workers": 2, "max_batch": 3, "max_wait_ms": 4.5, "queue": 55, "timeout_s": 6,
        "max_body_mb": 7, "max_pixels": 8000, "max_images": 9, "open_to_all": False, "score": 0.25, "tile": 512,
        "overlap": 64, "scale": 1.5, "diameter": None, "max_instances": 20, "cors": ("https://a.example", "https://b.example"),
        "access_log": "text", "header_timeout_s": 10.0, "max_connections": 256, "max_decoded_mb": 1000.0,
        "min_rate_kb": 20.0,
    }  # fmt: skip
    assert settings.api_key.get_secret_value() == "secret"


def test_the_key_may_come_from_the_environment(cli, checkpoint, served, monkeypatch) -> None:
    monkeypatch.setenv("SPARSEINST_API_KEY", "hidden")
    result = cli("serve", "--model", checkpoint, "--host", "0.0.0.0")
    assert served["settings"].api_key.get_secret_value() == "hidden"
    assert "hidden" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--host", "0.0.0.0"], "--no-api-key"),
        (["--host", "0.0.0.0", "--no-api-key", "--queue", 2], "max_images"),
        (["--api-key", "two words"], "api_key"),
        (["--max-pixels", 999_999_999], "max_pixels"),
        (["--port", 0, "--model", "nucleii"], "nuclei"),
        (["--port", 0, "--tile", 1], "tile"),
    ],
)
def test_wrong_settings_name_themselves(cli, checkpoint, monkeypatch, arguments, named) -> None:
    monkeypatch.delenv("SPARSEINST_API_KEY", raising=False)
    model = [] if "--model" in arguments else ["--model", checkpoint]
    result = cli("serve", *arguments, *model)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert named in result.stderr


def test_a_package_that_is_missing_names_the_extra(cli, monkeypatch) -> None:
    monkeypatch.setattr("sparseinst.cli.serve.find_spec", lambda name: None)
    result = cli("serve")
    assert result.exit_code == 2
    assert "pip install 'sparseinst[serve]'" in result.stderr
