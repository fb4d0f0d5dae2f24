"""Measurements by the service are those of the package, of the file's own values."""

import base64
import io
import sys
from typing import Any

import numpy as np
import pytest
import tifffile

from inference.standins import ColorBackend
from serving.apps import app_of, client_of, code_of, encoded, form, picture, run
from sparseinst import Predictor
from sparseinst.serving.schema import Prediction

pytest.importorskip("skimage")


class BrightBackend(ColorBackend):
    """Finds what is bright in a grey image, as the first class."""

    def __call__(self, images, resized_hw):
        only = images.clone()
        only[:, 1:] = 0
        return super().__call__(only, resized_hw)


def deep(**about: Any) -> tuple[np.ndarray, bytes]:
    """A picture of 16 bits with one object, and its TIFF file."""
    values = np.random.default_rng(0).integers(0, 200, (64, 96)).astype(np.uint16)
    values[8:40, 16:48] += 40_000
    content = io.BytesIO()
    tifffile.imwrite(content, values, photometric="minisblack", **about)
    return values, content.getvalue()


def test_values_of_the_file_and_its_size_of_pixels() -> None:
    values, content = deep(resolution=(20_000, 20_000), resolutionunit="CENTIMETER")
    (row,) = Predictor(BrightBackend())(values).measure(values, pixel=0.5).to_dict("records")

    async def scenario() -> None:
        async with client_of(app_of(BrightBackend())) as client:
            answer = await client.post("/v1/predict?measure=true", files=form(content))
            assert Prediction.model_validate(answer.json()).images[0].measurements is not None
            (told,) = answer.json()["images"][0]["measurements"]
            assert list(told) == list(row)
            assert told["class"] == row["class"] and told["max_0"] > 40_000
            numbers = [name for name in row if name != "class"]
            assert [told[name] for name in numbers] == pytest.approx([row[name] for name in numbers], rel=1e-5)
            assert "measurements" not in (await client.post("/v1/predict", files=form(content))).json()["images"][0]

    run(scenario())


def test_micrometres_of_a_request_and_channels_in_colours() -> None:
    content = encoded(picture())

    async def scenario() -> None:
        async with client_of(app_of(ColorBackend())) as client:
            assert (await client.get("/v1/model")).json()["measures"] is True
            body = {"images": [base64.b64encode(content).decode()], "measure": True, "pixel_um": 2}
            (told,) = (await client.post("/v1/predict", json=body)).json()["images"][0]["measurements"]
            assert told["area_um2"] == 4 * told["area"] and (told["mean_red"], told["mean_green"]) == (255, 0)
            plain = (await client.post("/v1/predict?measure=true", files=form(content))).json()["images"][0]
            assert "area_um2" not in plain["measurements"][0]
            refused = await client.post("/v1/predict?measure=true&pixel_um=0", files=form(content))
            assert refused.status_code == 422 and code_of(refused) == "invalid"

    run(scenario())


def test_what_cannot_be_measured_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)

    async def scenario() -> None:
        async with client_of(app_of(ColorBackend())) as client:
            refused = await client.post("/v1/predict?measure=true", files=form(encoded(picture())))
            assert refused.status_code == 400 and code_of(refused) == "no_measuring"
            assert "sparseinst[cells]" in refused.json()["error"]["message"]

    run(scenario())
