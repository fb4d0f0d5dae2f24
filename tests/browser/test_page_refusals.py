"""What the page says when something is wrong, and how it goes on."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr

from browser.desk import keep_picture, open_picture, opened, painting, served
from exporting.conftest import network
from sparseinst.runtime.torch_backend import EagerBackend
from sparseinst.zoo.names import DEMO_IMAGE

KEY = "open-sesame"
MOST_PIXELS, MOST_MB = 1_000_000, 0.5


@pytest.fixture(scope="module")
def strict_address() -> Iterator[str]:
    """A tiny network behind a key and narrow limits."""
    pytest.importorskip("fastapi", reason="fastapi serves the page")
    from sparseinst.serving.app import create_app
    from sparseinst.serving.settings import ServeSettings

    settings = ServeSettings(
        name="tiny", score=0.0, api_key=SecretStr(KEY), max_pixels=MOST_PIXELS, max_body_mb=MOST_MB
    )
    with served(create_app(settings, lambda *, activation=False: EagerBackend(network()))) as address:
        yield address


def message(page: Any, text: str) -> str:
    """The message, once it holds a text."""
    shown = page.locator("#message").filter(has_text=text)
    shown.wait_for()
    return str(shown.inner_text())


def give_key(page: Any, key: str) -> None:
    page.locator("#key[open]").wait_for()
    page.locator("#key-value").fill(key)
    page.locator("#key button.primary").click()


def png(path: Path, size_hw: tuple[int, int], *, noise: bool = False) -> Path:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (*size_hw, 3), np.uint8) if noise else np.zeros((*size_hw, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_files_that_are_no_pictures(browser: Any, nuclei_address: str, tmp_path: Path) -> None:
    with opened(browser, nuclei_address, refusals=True) as page:
        page.locator("#note").wait_for()
        text, broken = tmp_path / "notes.txt", tmp_path / "broken.png"
        text.write_text("no picture")
        broken.write_bytes(b"no picture either")
        page.locator("#file").set_input_files(text)
        assert "notes.txt is no picture" in message(page, "notes.txt")
        assert not any("/v1/predict" in url for url in page.asked), "it is refused before it is sent"
        page.locator("#file").set_input_files(broken)
        message(page, "Expected an image (PNG, JPEG")
        assert page.locator("#message button").count() == 1, "no second try with the same file"
        keep_picture(page, "refused")
        open_picture(page, DEMO_IMAGE)
        assert page.locator("#message").is_hidden()


def test_a_busy_or_silent_service_is_asked_again(browser: Any, nuclei_address: str) -> None:
    busy = {"error": {"code": "busy", "message": "expected a free place, got 64 images waiting: try later"}}
    with opened(browser, nuclei_address, refusals=True) as page:
        page.locator("#note").wait_for()
        refuse = {"status": 503, "headers": {"Retry-After": "3"}, "body": json.dumps(busy)}
        page.route("**/v1/predict*", lambda route: route.fulfill(content_type="application/json", **refuse))
        page.locator("#file").set_input_files(DEMO_IMAGE)
        assert "try later. Try again in 3 s." in message(page, "Expected a free place")
        page.unroute("**/v1/predict*")
        page.route("**/v1/predict*", lambda route: route.abort())
        page.locator("#message button").first.click()
        assert "does not answer" in message(page, "sparseinst serve")
        page.unroute("**/v1/predict*")
        page.locator("#message button").first.click()
        page.locator("#headline").filter(has_text="found in").wait_for()
        assert page.locator("#message").is_hidden()


def test_a_service_that_has_just_been_started_is_waited_for(browser: Any, nuclei_address: str) -> None:
    loading = {"error": {"code": "loading", "message": "expected the network: try again in a moment"}}
    refusals = iter(range(2))

    def answer(route: Any) -> None:
        if next(refusals, None) is None:
            route.continue_()
        else:
            route.fulfill(content_type="application/json", status=503, body=json.dumps(loading))

    with opened(browser, nuclei_address, refusals=True) as page:
        page.route("**/v1/model", answer)
        page.reload()
        page.locator("#note").filter(has_text="nucleus").wait_for()
        assert page.locator("#message").is_hidden()


def test_a_refused_camera_is_explained(browser: Any, nuclei_address: str) -> None:
    with opened(browser, nuclei_address) as page:
        page.evaluate(
            "() => { navigator.mediaDevices.getUserMedia = "
            "async () => { throw new DOMException('', 'NotAllowedError'); }; }"
        )
        page.locator("#welcome [data-do=camera]").click()
        assert "Allow it in the browser" in message(page, "The camera was refused")
        assert page.locator("#camera").get_attribute("aria-pressed") == "false"


def test_a_key_is_asked_for_and_kept(browser: Any, strict_address: str, tmp_path: Path) -> None:
    with opened(browser, strict_address, refusals=True) as page:
        give_key(page, "wrong")
        give_key(page, KEY)
        page.locator("#model").filter(has_text="tiny").wait_for()
        page.reload()
        page.locator("#model").filter(has_text="tiny").wait_for()
        open_picture(page, png(tmp_path / "small.png", (90, 120)))
        page.locator("#camera").click()
        page.locator("#headline").filter(has_text="frames a second").wait_for()
        assert not any(KEY in url for url in page.asked), "addresses are logged, so the key is in none"


def test_limits_are_told_in_words(browser: Any, strict_address: str, tmp_path: Path) -> None:
    with opened(browser, strict_address, refusals=True) as page:
        give_key(page, KEY)
        page.locator("#model").filter(has_text="tiny").wait_for()
        page.locator("#file").set_input_files(png(tmp_path / "heavy.png", (500, 500), noise=True))
        assert f"at most {MOST_MB} are taken" in message(page, "heavy.png has 0.8 MB")
        page.locator("#file").set_input_files(png(tmp_path / "wide.png", (900, 1200)))
        assert "1,000,000 pixels, got 1200 x 900" in message(page, "Expected at most")


def test_classes_and_groups(browser: Any, strict_address: str, tmp_path: Path) -> None:
    path = png(tmp_path / "two-classes.png", (150, 240), noise=True)
    with opened(browser, strict_address, refusals=True) as page:
        give_key(page, KEY)
        page.locator("#model").filter(has_text="tiny").wait_for()
        open_picture(page, path)
        page.locator("#score").fill("0")
        names = page.locator("#rows td.text").all_inner_texts()
        assert names and set(names) <= {"disc", "größe"}
        for name in set(names):
            assert f"{name} {names.count(name)} ·" in page.locator("#counts").inner_text()
        page.locator("#top").press("ArrowRight")
        page.locator("#groups canvas").first.wait_for()
        assert [text.split(",")[0] for text in page.locator("#groups span").all_inner_texts()] == ["Group 1", "Group 2"]
        first = painting(page)
        page.locator("#groups button").nth(1).click()
        assert painting(page) != first
        assert page.locator("#groups [aria-pressed=true]").count() == 1
        keep_picture(page, "groups")


def test_a_tiff_is_shown_as_the_network_sees_it(browser: Any, nuclei_address: str) -> None:
    with Image.open(DEMO_IMAGE) as image:
        deep = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 40)
    content = io.BytesIO()
    deep.save(content, "TIFF")
    with opened(browser, nuclei_address) as page:
        file = {"name": "deep.tif", "mimeType": "image/tiff", "buffer": content.getvalue()}
        page.locator("#file").set_input_files(files=[file])
        page.locator("#headline").filter(has_text="found in").wait_for()
        assert page.locator("#rows tr").count() > 20
