"""The page with the nuclei network: what people see, move and take home is what `Predictor` finds."""

import base64
import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from browser.desk import keep_picture, on_stage, open_picture, opened, painting, settled
from sparseinst import Instances, Predictor
from sparseinst.inference.prediction import predict_files
from sparseinst.inference.writers import label_image
from sparseinst.zoo.names import DEMO_IMAGE

FILE_OF = """([content, name]) => {
  const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type: "image/png" }));
  return carried;
}"""
PASTE = "data => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))"
BRIGHTEST = """() => {
  const { width, height } = document.getElementById("base");
  const { data } = document.getElementById("base").getContext("2d").getImageData(0, 0, width, height);
  const [sum, count] = [[0, 0], [0]];
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] < 215 || data[i + 1] < 165 || data[i + 2] > 190) continue; // only the hottest colours are yellow
    sum[0] += (i / 4) % width, sum[1] += Math.floor(i / 4 / width), count[0]++;
  }
  return [sum[0] / count[0], sum[1] / count[0]];
}"""


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor("nuclei")


@pytest.fixture(scope="module")
def expected(predictor: Predictor) -> Instances:
    return predictor(DEMO_IMAGE)


def count(page: Any) -> int:
    rows = page.locator("#rows tr").count()
    assert page.locator("#headline").inner_text().startswith(f"{rows or 'No'} object")
    return int(rows)


def place_in(instances: Instances, index: int) -> tuple[float, float]:
    """The pixel of an object that is farthest from its outline, where no other object is."""
    masks = instances.masks
    own = masks[index] & (masks.sum(0) == 1)
    depth = cv2.distanceTransform(np.pad(own, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(np.argmax(depth), depth.shape)
    return float(x) + 0.5, float(y) + 0.5


def largest(instances: Instances) -> int:
    return int(np.argmax(instances.areas))


def test_a_sample_shows_what_it_can_do(browser: Any, nuclei_address: str, expected: Instances) -> None:
    with opened(browser, nuclei_address) as page:
        page.locator("#note").filter(has_text="nucleus").wait_for()
        keep_picture(page, "welcome")
        page.locator("#welcome [data-do=sample]").click()
        page.locator("#headline").filter(has_text="found in").wait_for()
        assert count(page) == len(expected) > 20
        assert f"nucleus {len(expected)}" in page.locator("#counts").inner_text()
        assert f"median area {np.floor(np.median(expected.areas) + 0.5):.0f} px" in page.locator("#counts").inner_text()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(browser: Any, nuclei_address: str, expected: Instances, way: str) -> None:
    with opened(browser, nuclei_address) as page:
        content = base64.b64encode(DEMO_IMAGE.read_bytes()).decode()
        carried = page.evaluate_handle(FILE_OF, [content, "cells.png"])
        if way == "drop":
            for event in ("dragenter", "dragover"):
                page.dispatch_event("#welcome", event, {"dataTransfer": carried})
            assert page.locator("#drop").is_visible()
            page.dispatch_event("#welcome", "drop", {"dataTransfer": carried})
        else:
            page.evaluate(
                "data => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))", carried
            )
        page.locator("#headline").filter(has_text="found in").wait_for()
        assert count(page) == len(expected)
        assert not page.locator("#drop").is_visible()


def test_sliders_and_switches_act_at_once_and_ask_nobody(
    browser: Any, nuclei_address: str, predictor: Predictor, expected: Instances
) -> None:
    with opened(browser, nuclei_address) as page:
        open_picture(page, DEMO_IMAGE)
        asked = len(page.asked)
        assert float(page.locator("#score").input_value()) == pytest.approx(predictor.score)
        first = painting(page)
        for score in (0.6, 0.05):
            page.locator("#score").fill(str(score))
            assert count(page) == len(Predictor("nuclei", score=score)(DEMO_IMAGE))
            assert ("more with a lower score" in page.locator("#counts").inner_text()) == (score > 0.05)
            assert painting(page) != first
        page.locator("#score").fill("1")
        assert count(page) == 0
        bare = painting(page)
        page.locator("#score").fill(str(predictor.score))
        assert painting(page) == first
        page.locator("#opacity").fill("0")
        assert painting(page) not in (first, bare)
        page.locator("#outlines").uncheck()
        assert painting(page) == bare
        page.locator("#opacity").fill("1")
        by_object = painting(page)
        page.locator("#by-class").check()
        assert painting(page) != by_object
        unlabelled = painting(page, "top")
        page.locator("#labels").check()
        assert painting(page, "top") != unlabelled
        assert len(page.asked) == asked


def test_the_pointer_lights_up_and_picks_an_object(browser: Any, nuclei_address: str, expected: Instances) -> None:
    index = largest(expected)
    x, y = place_in(expected, index)
    with opened(browser, nuclei_address) as page:
        open_picture(page, DEMO_IMAGE)
        before = painting(page, "top")
        page.mouse.move(*on_stage(page, expected.size_hw, x, y))
        tooltip = page.locator("#tooltip")
        assert tooltip.inner_text().split("\n")[0] == f"nucleus {index + 1}"
        assert f"score {expected.scores[index]:.2f}" in tooltip.inner_text()
        assert f"{expected.areas[index]:.0f} px" in tooltip.inner_text()
        assert painting(page, "top") != before
        assert page.locator("#rows tr.hovered button").inner_text() == str(index + 1)
        keep_picture(page, "hover")
        page.mouse.wheel(0, -1000)
        settled(page)
        page.mouse.move(*np.add(on_stage(page, expected.size_hw, x, y), 1))
        assert tooltip.inner_text().startswith(f"nucleus {index + 1}\n"), "the zoom keeps what is under the pointer"
        keep_picture(page, "zoomed")
        page.mouse.down()
        page.mouse.move(5, 400, steps=4)
        page.mouse.up()
        assert page.locator("#rows tr.selected").count() == 0, "a drag picks nothing"
        page.locator("#zoom [data-do=fit]").click()
        settled(page)
        page.mouse.click(*on_stage(page, expected.size_hw, x, y))
        assert page.locator("#rows tr.selected button").inner_text() == str(index + 1)
        assert page.locator("#why-title").inner_text() == f"Why nucleus {index + 1}?"


def test_an_object_shows_which_pixels_spoke_for_it(
    browser: Any, nuclei_address: str, predictor: Predictor, expected: Instances
) -> None:
    _, maps = predictor.explain(DEMO_IMAGE)
    index = largest(expected)
    heat = maps.upsampled(index)[0]
    hot_y, hot_x = (float(axis.mean()) for axis in np.nonzero(heat > 0.85 * heat.max()))
    with opened(browser, nuclei_address) as page:
        open_picture(page, DEMO_IMAGE)
        masks = painting(page)
        page.mouse.click(*on_stage(page, expected.size_hw, *place_in(expected, index)))
        page.locator("#groups canvas").wait_for()
        assert page.locator("#groups span").inner_text() == f"Activation, peak {maps.peaks[index, 0]:#.2g}"
        assert painting(page) != masks
        box = page.locator("#top").bounding_box()
        found = np.add(page.evaluate(BRIGHTEST), (box["x"], box["y"]))
        np.testing.assert_allclose(found, on_stage(page, expected.size_hw, hot_x, hot_y), atol=6)
        keep_picture(page, "activation")
        asked = len(page.asked)
        page.locator("#groups button").click()
        assert painting(page) == masks, "the map leaves the picture"
        page.locator("#groups button").click()
        page.locator("#rows tr").nth(3).click()
        page.locator("#groups canvas").wait_for()
        page.keyboard.press("Escape")
        assert page.locator("#why").is_hidden() and painting(page) == masks
        assert len(page.asked) == asked, "one answer holds the maps of all objects"


def test_the_table_sorts_and_walks(browser: Any, nuclei_address: str, expected: Instances) -> None:
    with opened(browser, nuclei_address) as page:
        open_picture(page, DEMO_IMAGE)

        def column(number: int) -> list[float]:
            return [float(text) for text in page.locator(f"#rows td:nth-child({number})").all_inner_texts()]

        assert column(3) == sorted(column(3), reverse=True)
        page.locator("[data-sort=area]").click()
        assert column(4) == sorted(expected.areas, reverse=True)
        assert page.locator("th[aria-sort=descending]").inner_text().startswith("Area")
        page.locator("[data-sort=area]").click()
        assert column(4) == sorted(expected.areas)
        page.locator("[data-sort=number]").click()
        assert column(1) == list(range(1, len(expected) + 1))
        page.locator("#rows button").first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert page.evaluate("document.activeElement.textContent") == "2"
        page.keyboard.press("End")
        assert page.evaluate("document.activeElement.textContent") == str(len(expected))
        assert page.locator("#rows tr.selected").count() == 1


def test_keys_do_what_the_mouse_does(browser: Any, nuclei_address: str, expected: Instances) -> None:
    best = np.argsort(-expected.scores, kind="stable")
    with opened(browser, nuclei_address) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        open_picture(page, DEMO_IMAGE)
        page.locator("#top").focus()
        whole = painting(page)
        for rank in (0, 1):
            page.keyboard.press("ArrowRight")
            told = page.locator("#told").inner_text()
            assert told.startswith(f"nucleus {best[rank] + 1}, score {expected.scores[best[rank]]:.2f}, area ")
        page.keyboard.press("ArrowLeft")
        assert page.locator("#rows tr.selected button").inner_text() == str(best[0] + 1)
        page.locator("#groups canvas").wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("+")
        near = painting(page)
        assert near != whole
        page.keyboard.press("Shift+ArrowLeft")
        assert painting(page) not in (near, whole)
        page.keyboard.press("0")
        assert painting(page) == whole
        names = page.evaluate("[...document.querySelectorAll('button')].map(b => b.ariaLabel || b.innerText)")
        assert all(names)


def test_downloads_are_what_the_command_line_writes(
    browser: Any, nuclei_address: str, expected: Instances, tmp_path: Path
) -> None:
    predict_files(str(DEMO_IMAGE), model="nuclei", out=tmp_path, save_json=True)
    written = json.loads((tmp_path / "predictions.json").read_text())
    with opened(browser, nuclei_address) as page:
        open_picture(page, DEMO_IMAGE)
        files = {}
        for kind in ("json", "overlay", "labels", "csv", "measurements"):
            with page.expect_download() as download:
                page.locator(f"[data-get={kind}]").click()
            files[download.value.suggested_filename] = Path(download.value.path()).read_bytes()
    kinds = ("predictions.json", "overlay.png", "labels.png", "objects.csv", "measurements.csv")
    assert list(files) == [f"nuclei_{kind}" for kind in kinds]
    content = json.loads(files["nuclei_predictions.json"])
    for ours, theirs in zip(content["annotations"], written["annotations"], strict=True):
        assert ours.pop("score") == pytest.approx(theirs.pop("score"), abs=1e-5)
    assert content == written
    labels = cv2.imdecode(np.frombuffer(files["nuclei_labels.png"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, label_image(expected))
    with Image.open(DEMO_IMAGE) as image, Image.open(io.BytesIO(files["nuclei_overlay.png"])) as drawn:
        before, after = np.asarray(image.convert("RGB")).astype(int), np.asarray(drawn.convert("RGB")).astype(int)
    far = cv2.dilate(expected.masks.any(0).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    assert (after[far] == before[far]).all()
    assert (after != before)[expected.masks.any(0)].any(1).mean() > 0.99
    rows = list(csv.DictReader(io.StringIO(files["nuclei_objects.csv"].decode(), newline="")))
    assert [int(row["id"]) for row in rows] == list(range(1, len(expected) + 1))
    np.testing.assert_allclose([float(row["score"]) for row in rows], expected.scores, atol=1e-5)
    np.testing.assert_allclose([float(row["area"]) for row in rows], expected.areas)
    np.testing.assert_allclose([[float(row[k]) for k in ("x", "y")] for row in rows], expected.boxes[:, :2])
    table = expected.measure(DEMO_IMAGE)
    for axis in ("centroid_x", "centroid_y"):
        np.testing.assert_allclose([float(row[axis]) for row in rows], table[axis], atol=1e-3)
    measured = list(csv.DictReader(io.StringIO(files["nuclei_measurements.csv"].decode(), newline="")))
    assert list(measured[0]) == list(table) and len(measured) == len(table)
    for name in set(table) - {"class"}:
        numbers = [float(row[name]) if row[name] else np.nan for row in measured]
        np.testing.assert_allclose(numbers, table[name], rtol=1e-4, err_msg=name)


def test_the_camera_runs_live_and_leaves_its_last_frame(browser: Any, nuclei_address: str) -> None:
    with opened(browser, nuclei_address) as page:
        page.locator("#welcome [data-do=camera]").click()
        page.locator("#headline").filter(has_text="frames a second").wait_for()
        first = painting(page)
        page.locator("#headline").filter(has_text="frames a second").wait_for()
        deadline = time.monotonic() + 30  # a frame may take seconds on a busy machine
        while painting(page) == first and time.monotonic() < deadline:
            page.wait_for_timeout(250)
        assert painting(page) != first, "the picture moves"
        assert page.locator("#headline").get_attribute("aria-live") == "off"
        assert sum("/v1/stream" in url for url in page.asked) == 1
        keep_picture(page, "camera")
        page.locator("#camera").click()
        still = painting(page)
        page.wait_for_timeout(500)
        assert painting(page) == still
        assert page.locator("#camera").get_attribute("aria-pressed") == "false"
        open_picture(page, DEMO_IMAGE)
        assert count(page) > 20
