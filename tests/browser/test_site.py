"""A static site finds in the visitor's own browser what `Predictor` finds, and asks nobody else for anything."""

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from browser.desk import keep_picture, open_picture, opened
from exporting.conftest import network
from exporting.conftest import pictures as pictures
from real import NUCLEI
from sparseinst import Instances, Predictor
from sparseinst.exporting.exporter import export_model
from sparseinst.inference.merging import TILE_SLOTS
from sparseinst.masks import rle
from sparseinst.web import ort as ort_web
from sparseinst.zoo.checkpoint import save_checkpoint
from sparseinst.zoo.names import DEMO_IMAGE

ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}

SEGMENT = """async ([picture, score]) => {
  const { engine } = await import(new URL("engine.js", document.baseURI));
  const blob = await (await fetch(picture)).blob();
  const progress = [];
  const { activation, ...result } = await engine.segment(blob, { score, onProgress: (parts) => progress.push(parts) });
  const told = { ...activation, cells: activation.cells.length };
  return { ...result, activation: told, progress, isolated: crossOriginIsolated };
}"""
REFUSAL = """async (bytes) => {
  const { engine } = await import(new URL("engine.js", document.baseURI));
  const refused = (error) => ({ name: error.name, code: error.code, message: error.message });
  return engine.segment(new Blob([new Uint8Array(bytes)])).then(() => null, refused);
}"""


DROPPED = """async ([large, small]) => {
  const { engine } = await import(new URL("engine.js", document.baseURI));
  const [first, second] = await Promise.all([large, small].map(async (name) => (await fetch(name)).blob()));
  const running = new AbortController();
  let parts = 0;
  const onProgress = ({ done }) => {
    parts = done;
    if (done === 1) running.abort();
  };
  const dropped = await engine.segment(first, { signal: running.signal, onProgress }).then(() => null, (e) => e.name);
  return { dropped, parts, found: (await engine.segment(second)).instances.length };
}"""


@contextmanager
def visited(browser: Any, site: Path, headers: dict[str, str] | None = None) -> Iterator[Any]:
    """A page of a site on a plain server, with some more headers if any."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with opened(browser, f"http://127.0.0.1:{server.server_port}/") as page:
            yield page
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def _runtime() -> None:
    if not ort_web.is_complete(ort_web.BUNDLED) and shutil.which("npm") is None:
        pytest.skip("ONNX Runtime for browsers is absent, and npm, which fetches it")


def assert_same(found: list[dict[str, Any]], expected: Instances) -> None:
    """Instances as COCO annotations, in any order, are those of Python."""
    assert len(found) == len(expected) > 0
    found = sorted(found, key=lambda item: -item["score"])
    order = np.argsort(-expected.scores, kind="stable")
    masks = rle.decode([item["segmentation"]["counts"].encode() for item in found], expected.size_hw)
    boxes = expected.boxes[order]
    boxes[:, 2:] -= boxes[:, :2]
    np.testing.assert_allclose([item["score"] for item in found], expected.scores[order], atol=1e-3)
    np.testing.assert_allclose([item["bbox"] for item in found], boxes, atol=1)
    for item, mask, truth in zip(found, masks, expected.masks[order], strict=True):
        assert item["area"] == mask.sum()
        assert (mask & truth).sum() >= 0.99 * (mask | truth).sum()


@pytest.fixture(scope="module")
def nuclei(browser: Any, _runtime: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("nuclei") / "site"
    export_model("nuclei", site, export_format="web")
    return site


def test_a_visitor_sees_what_python_finds(browser: Any, nuclei: Path) -> None:
    with visited(browser, nuclei) as page:
        page.locator("#note").filter(has_text="nucleus").wait_for()
        open_picture(page, DEMO_IMAGE)
        print(page.locator("#headline").inner_text())
        with page.expect_download() as download:
            page.locator("[data-get=json]").click()
        content = json.loads(Path(download.value.path()).read_text())
        assert_same(content["annotations"], Predictor(nuclei / "model.onnx")(DEMO_IMAGE))
        assert [category["name"] for category in content["categories"]] == ["nucleus"]
        page.locator("#top").press("ArrowRight")
        page.locator("#why canvas").first.wait_for()
        keep_picture(page, "site")


def test_micrographs_of_several_sizes(browser: Any, nuclei: Path) -> None:
    names = ("val/648636ee314d7bdb.png", "val/a08166d91d2cca26.png", "train/28d33efef218392e.png")
    predictor = Predictor(nuclei / "model.onnx", score=0.3)
    with visited(browser, nuclei) as page:
        for path in (NUCLEI / name for name in names):
            shutil.copyfile(path, nuclei / path.name)
            result = page.evaluate(SEGMENT, [path.name, 0.3])
            print((result["width"], result["height"]), {k: round(v) for k, v in result["milliseconds"].items()})
            assert_same(result["instances"], predictor(path))


@pytest.fixture(scope="module")
def mosaic(nuclei: Path, shared: Path) -> Path:
    """On the site, nine micrographs side by side: more than one pass holds."""
    paths = sorted((shared / "data" / "dsb2018" / "val").glob("*.png"))
    picture = Image.new("RGB", (768, 768))
    for number, image in enumerate([image for image in map(Image.open, paths) if image.size == (256, 256)][:9]):
        picture.paste(image, (256 * (number % 3), 256 * (number // 3)))
    picture.save(nuclei / "mosaic.png")
    return nuclei / "mosaic.png"


def test_a_picture_in_tiles(browser: Any, nuclei: Path, mosaic: Path) -> None:
    instances, maps = Predictor(nuclei / "model.onnx", score=0.3).explain(mosaic)
    with visited(browser, nuclei) as page:
        result = page.evaluate(SEGMENT, [mosaic.name, 0.3])
        print({part: round(value) for part, value in result["milliseconds"].items()}, len(instances))
        assert result["progress"] == [{"done": done, "of": 4} for done in range(4)]
        assert_same(result["instances"], instances)
        assert [item["id"] for item in result["instances"]] == list(range(1, len(instances) + 1))
        assert [item["slot"] // TILE_SLOTS for item in result["instances"]] == (instances.slots // TILE_SLOTS).tolist()
        activation = result["activation"]
        assert activation["cells"] == sum(rows * columns for rows, columns in activation["blocks"])
        np.testing.assert_allclose(activation["peaks"], maps.peaks, atol=1e-3)
        places, starts = np.array(activation["places"]), maps.corners[:, ::-1]
        ends = starts + maps.cells_px[:, ::-1] * [crop.shape[:0:-1] for crop in maps.crops]
        assert (places[:, :2] >= starts - 1e-6).all() and (places[:, 2:] <= ends + 1e-6).all()
        open_picture(page, mosaic)
        page.locator("#top").press("ArrowRight")
        page.locator("#why canvas").first.wait_for()
        keep_picture(page, "site-mosaic")


def test_a_picture_in_tiles_is_dropped_for_another(browser: Any, nuclei: Path, mosaic: Path) -> None:
    with visited(browser, nuclei) as page:
        result = page.evaluate(DROPPED, [mosaic.name, "sample.png"])
    assert result["dropped"] == "AbortError" and result["parts"] < 3 and result["found"] > 0


def test_threads_where_the_site_is_isolated(browser: Any, nuclei: Path) -> None:
    with visited(browser, nuclei, ISOLATED) as page:
        result = page.evaluate(SEGMENT, ["sample.png", 0.39])
    assert result["isolated"]
    print({part: round(value) for part, value in result["milliseconds"].items()})
    assert_same(result["instances"], Predictor(nuclei / "model.onnx", score=0.39)(DEMO_IMAGE))


@pytest.fixture(scope="module")
def tiny(browser: Any, _runtime: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint of a network of two classes, two groups and any frame, and its site."""
    folder = tmp_path_factory.mktemp("tiny")
    save_checkpoint(folder / "tiny.safetensors", network())
    export_model(folder / "tiny.safetensors", folder / "site", export_format="web")
    return folder / "tiny.safetensors", folder / "site"


def test_classes_groups_and_frames_of_every_shape(browser: Any, tiny: tuple[Path, Path], pictures: Any) -> None:
    checkpoint, site = tiny
    predictor = Predictor(checkpoint, score=0)
    with visited(browser, site) as page:
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(site / f"{number}.png")
            result = page.evaluate(SEGMENT, [f"{number}.png", 0])
            instances, maps = predictor.explain(picture)
            assert_same(result["instances"], instances)
            assert [item["slot"] for item in result["instances"]] == instances.slots.tolist()
            assert [item["label"] for item in result["instances"]] == instances.labels.tolist()
            assert {item["class"] for item in result["instances"]} <= {"disc", "größe"}
            activation = result["activation"]
            np.testing.assert_allclose(activation["peaks"], maps.peaks, atol=1e-4)
            assert activation["cells"] == 2 * sum(rows * columns for rows, columns in activation["blocks"])


def test_the_camera_goes_through_the_same_network(browser: Any, tiny: tuple[Path, Path]) -> None:
    with visited(browser, tiny[1]) as page:
        page.locator("#welcome [data-do=camera]").click()
        page.locator("#headline").filter(has_text="frames a second").wait_for()
        page.locator("#camera").click()
        assert page.locator("#camera").inner_text() == "Camera"


def test_what_it_cannot_read_is_refused_in_words(browser: Any, tiny: tuple[Path, Path], tmp_path: Path) -> None:
    deep = tmp_path / "deep.png"
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000).save(deep)
    with visited(browser, tiny[1]) as page:
        for content, code, words in (
            (b"no picture", "not_an_image", "PNG, JPEG or WebP"),
            (deep.read_bytes(), "deep_image", "16 bits"),
        ):
            refusal = page.evaluate(REFUSAL, list(content))
            assert refusal["name"] == "EngineError" and refusal["code"] == code and words in refusal["message"]
