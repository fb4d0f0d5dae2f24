"""A service in a thread and Chromium before it: what the tests of the page sit down at."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
SCREENSHOTS = Path(__file__).with_name("screenshots")
PATIENCE_MS = 60_000
"""Of a machine that does other things, too."""
ANSWERED_BADLY = "Failed to load resource"
"""What Chromium itself notes of every answer with an error status."""

CHECKSUM = """id => {
  const canvas = document.getElementById(id);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Uint32Array(data.buffer).reduce((sum, pixel) => (Math.imul(sum, 31) + pixel) | 0, 0);
}"""


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of an app that is served from a thread, once its network is there."""
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn serves the page")
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws_max_size=10_000_000))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.02)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    try:
        while httpx.get(f"{address}readyz").status_code != 200:
            time.sleep(0.02)
        yield address
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("chromium is absent: it opens the page")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, address: str, *, refusals: bool = False, **context_options: Any) -> Iterator[Any]:
    """The page, which must stay free of errors and of requests to anybody else.

    `page.asked` lists what it asked its service for. With `refusals` the service may answer with an error status.
    """
    options = {"viewport": {"width": 1440, "height": 900}, **context_options}
    with browser.new_context(**options) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.asked = []
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        context.on("request", lambda request: page.asked.append(request.url))
        page.on("websocket", lambda socket: page.asked.append(socket.url.replace("ws:", "http:")))
        page.goto(address)
        yield page
        assert [text for text in errors if not (refusals and ANSWERED_BADLY in text)] == []
        assert page.asked
        assert [url for url in page.asked if not url.startswith((address, "blob:", "data:"))] == []


def open_picture(page: Any, path: Path) -> None:
    """Chooses a file and waits for its objects."""
    page.locator("#headline").evaluate("element => { element.textContent = ''; }")
    page.locator("#file").set_input_files(path)
    page.locator("#headline").filter(has_text="found in").wait_for()


def on_stage(page: Any, size_hw: tuple[int, int], x: float, y: float) -> tuple[float, float]:
    """Where on the screen a place of a picture is that is shown as a whole."""
    box = page.locator("#top").bounding_box()
    height, width = size_hw
    scale = min((box["width"] - 32) / width, (box["height"] - 32) / height)
    left, top = box["x"] + (box["width"] - width * scale) / 2, box["y"] + (box["height"] - height * scale) / 2
    return left + x * scale, top + y * scale


def settled(page: Any) -> None:
    """Waits until what was changed has been painted."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def painting(page: Any, canvas: str = "base") -> int:
    """A canvas as it is painted now, as one number that differs if a pixel does."""
    settled(page)
    return int(page.evaluate(CHECKSUM, canvas))


def keep_picture(page: Any, name: str) -> None:
    """A screenshot for people to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    settled(page)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
