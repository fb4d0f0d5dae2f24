import asyncio
import base64
from typing import Any

import httpx
import numpy as np
import pytest

from real import PHOTOGRAPHS
from serving.apps import GatedBackend, app_of, client_of, code_of, encoded, form, picture, run, tiny_backend
from sparseinst.config.preprocess import NativeConfig
from sparseinst.inference.predictor import Predictor
from sparseinst.masks import rle
from sparseinst.serving.schema import Model, Prediction
from sparseinst.zoo.names import DEMO_IMAGE


def masks_of(image: dict[str, Any]) -> np.ndarray:
    counts = [instance["segmentation"]["counts"].encode() for instance in image["instances"]]
    return rle.decode(counts, (image["height"], image["width"]))


def test_a_form_and_json_give_what_the_predictor_gives_in_order() -> None:
    pictures = [picture(channel=c, height=48 + 16 * c, box=(10, 4 + c, 40, 30)) for c in (0, 1, 2, 1)]
    files = [encoded(image) for image in pictures]
    expected = Predictor(GatedBackend())(pictures)

    async def scenario() -> None:
        async with client_of(app_of(GatedBackend(), name="colours")) as client:
            by_form = await client.post("/v1/predict", files=form(*files))
            as_text = [base64.b64encode(file).decode() for file in files]
            by_json = await client.post("/v1/predict", json={"images": as_text})
        assert by_form.status_code == by_json.status_code == 200
        assert by_form.json()["images"] == by_json.json()["images"]
        answer = Prediction.model_validate(by_form.json())
        assert answer.model == "colours" and answer.milliseconds.total > 0
        for image, instances in zip(by_form.json()["images"], expected, strict=True):
            np.testing.assert_array_equal(masks_of(image), instances.masks)
            told = [(found["class"], found["slot"]) for found in image["instances"]]
            assert told == [(("red", "grün", "blue")[label], label) for label in instances.labels]
            np.testing.assert_allclose([found["score"] for found in image["instances"]], instances.scores, atol=1e-6)

    run(scenario())


def test_a_real_image_gives_the_masks_of_the_predictor() -> None:
    path = PHOTOGRAPHS / "val" / "coffee.jpg"
    backend = tiny_backend()
    expected = Predictor(backend, score=0)(path)
    assert len(expected)

    async def scenario() -> None:
        async with client_of(app_of(backend, score=0)) as client:
            answer = (await client.post("/v1/predict", files=form(path.read_bytes()))).json()
        np.testing.assert_array_equal(masks_of(answer["images"][0]), expected.masks)

    run(scenario())


def test_a_network_at_native_scale_is_warmed_up_at_a_usual_size() -> None:
    backend = GatedBackend()
    backend.config = backend.config.model_copy(update={"preprocess": NativeConfig()})

    async def scenario() -> None:
        async with client_of(app_of(backend)) as client:
            answer = await client.post("/v1/predict", files=form(encoded(picture(70, 90))))
            assert len(answer.json()["images"][0]["instances"]) == 1

    run(scenario())
    assert backend.calls == [(1, 3, 512, 512), (1, 3, 96, 96)]


def test_options_come_by_address_or_json() -> None:
    faint = picture() // 2  # found with a score of 0.5
    body = {"images": [base64.b64encode(encoded(faint)).decode()]}

    async def scenario() -> None:
        async with client_of(app_of(GatedBackend())) as client:

            async def counted(address: str, **options: Any) -> int:
                answer = await client.post(f"/v1/predict{address}", json=body | options)
                assert answer.status_code == 200, answer.text
                return len(answer.json()["images"][0]["instances"])

            assert await counted("") == 1
            assert await counted("?score=0.6") == 0
            assert await counted("?score=0.6", score=0.4) == 1
            assert await counted("", score=0.6) == 0
            answer = (await client.post("/v1/predict?masks=polygons&preview=true", files=form(encoded(faint)))).json()
            assert isinstance(answer["images"][0]["instances"][0]["segmentation"][0][0], int)
            assert answer["images"][0]["preview"].startswith("data:image/png;base64,")

    run(scenario())


def test_scores_of_several_requests_do_not_mix_in_a_batch() -> None:
    backend = GatedBackend()

    async def scenario() -> None:
        async with client_of(app_of(backend, max_wait_ms=200)) as client:
            file = encoded(picture() // 2)
            asked = [client.post(f"/v1/predict?score={score}", files=form(file)) for score in (0.1, 0.9, 0.1, 0.9)]
            counts = [len(answer.json()["images"][0]["instances"]) for answer in await asyncio.gather(*asked)]
        assert counts == [1, 0, 1, 0]

    run(scenario())


def test_images_of_one_frame_meet_in_a_batch() -> None:
    backend = GatedBackend()

    async def scenario() -> None:
        async with client_of(app_of(backend, max_batch=4, max_wait_ms=500)) as client:
            backend.calls.clear()
            wide, high = encoded(picture(64, 96)), encoded(picture(96, 64))
            await asyncio.gather(*(client.post("/v1/predict", files=form(file)) for file in [wide, high] * 4))
        assert sorted(call[0] for call in backend.calls) == [4, 4]

    run(scenario())


@pytest.mark.parametrize("explained", [True, False])
def test_activation_maps_come_from_a_network_that_has_them(explained: bool) -> None:
    tiny = tiny_backend()

    class WithoutMaps:
        config, frame = tiny.config, tiny.frame
        __call__ = staticmethod(tiny)

    async def scenario() -> None:
        file = encoded(picture())
        without = WithoutMaps()
        app = app_of(without, explaining=tiny if explained else None, score=0)
        async with client_of(app) as client:
            plain = await client.post("/v1/predict", files=form(file))
            answer = await client.post("/v1/predict?activation=true", files=form(file, file))
            if not explained:
                assert answer.status_code == 400 and code_of(answer) == "no_activation"
                return
            assert "activation" not in plain.json()["images"][0]
            first, second = answer.json()["images"]
            assert first == second and first["instances"] == plain.json()["images"][0]["instances"]
            maps = first["activation"]
            assert (maps["groups"], len(maps["peaks"])) == (2, len(first["instances"]))
            Prediction.model_validate(answer.json())

    run(scenario())


def test_tiles_are_cut_and_explained() -> None:
    async def scenario() -> None:
        image = picture(64, 256, box=(20, 10, 40, 30)) + picture(64, 256, channel=1, box=(200, 10, 240, 50))
        expected = Predictor(GatedBackend(), tile=64)(image)
        async with client_of(app_of(GatedBackend(), tile=64)) as client:
            answer = await client.post("/v1/predict", files=form(encoded(image)))
            np.testing.assert_array_equal(masks_of(answer.json()["images"][0]), expected.masks)
        async with client_of(app_of(tiny_backend(), tile=64, score=0)) as client:
            answer = await client.post("/v1/predict?activation=true", files=form(encoded(image)))
            (found,) = answer.json()["images"]
            slots = [item["slot"] for item in found["instances"]]
            assert len(set(slots)) == len(slots) == len(found["activation"]["places"]) > 0

    run(scenario())


GOOD = encoded(picture())


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"content": GOOD, "headers": {"content-type": "image/png"}}, 415, "content_type"),
        ({"content": GOOD}, 415, "content_type"),
        ({"files": form(b"nothing")}, 422, "undecodable"),
        ({"files": form(GOOD, GOOD[:100])}, 422, "undecodable"),
        ({"files": form(encoded(picture(300, 400)))}, 413, "image_too_large"),
        ({"files": form(*[GOOD] * 4)}, 400, "image_count"),
        ({"files": form(*[GOOD] * 9)}, 400, "image_count"),
        ({"json": {"images": []}}, 422, "invalid"),
        ({"json": {"images": ["AAAA"] * 4}}, 400, "image_count"),
        ({"json": {"images": ["/etc/passwd"]}}, 422, "invalid"),
        ({"json": {"images": ["http://localhost/x.png"]}}, 422, "invalid"),
        ({"json": {"images": ["AAAA"], "path": "/etc/passwd"}}, 422, "invalid"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422, "invalid"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 422, "invalid"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 422, "invalid"),
        ({"files": {"picture": GOOD}}, 422, "invalid"),
        ({"data": {"image": "/etc/passwd"}, "files": {"image": GOOD}}, 422, "invalid"),
        ({"files": form(GOOD), "params": {"score": 2}}, 422, "invalid"),
        ({"files": form(GOOD), "params": {"masks": "voxels"}}, 422, "invalid"),
        ({"files": form(bytes(300_000))}, 413, "body_too_large"),
    ],
)
def test_bad_requests_are_told_why(request_: dict[str, Any], status: int, code: str) -> None:
    async def scenario() -> None:
        app = app_of(GatedBackend(), max_images=3, max_pixels=100_000, max_body_mb=0.2)
        async with client_of(app) as client:
            answer = await client.post("/v1/predict", **request_)
            assert (answer.status_code, code_of(answer)) == (status, code), answer.text
            assert (await client.post("/v1/predict", files=form(GOOD))).status_code == 200

    run(scenario())


def test_a_body_is_measured_while_it_comes() -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 10_000
            yield bytes(10_000)

    async def scenario() -> None:
        async with client_of(app_of(GatedBackend(), max_body_mb=0.1)) as client:
            headers = {"content-type": "application/json"}
            answer = await client.post("/v1/predict", content=endless(), headers=headers)
            assert (answer.status_code, code_of(answer)) == (413, "body_too_large")
        assert sent <= 120_000

    run(scenario())


def test_a_body_that_does_not_come_ends_in_408_and_frees_its_place() -> None:
    async def stuck() -> Any:
        yield b"{"
        await asyncio.sleep(30)

    async def scenario() -> None:
        app = app_of(GatedBackend(), timeout_s=0.1, queue=1, max_images=1)
        async with client_of(app) as client:
            headers = {"content-type": "application/json"}
            answer = await client.post("/v1/predict", content=stuck(), headers=headers)
            assert (answer.status_code, code_of(answer)) == (408, "timeout")
            assert (await client.post("/v1/predict", files=form(GOOD))).status_code == 200

    run(scenario())


async def metric(client: httpx.AsyncClient, name: str) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


async def until(client: httpx.AsyncClient, name: str, value: float) -> None:
    """Waits until a metric has this value."""
    while await metric(client, name) != value:
        await asyncio.sleep(0.01)


def test_a_full_queue_sends_away_and_a_slow_network_times_out() -> None:
    backend = GatedBackend()

    async def scenario() -> None:
        async with client_of(app_of(backend, queue=2, max_images=2, timeout_s=0.5)) as client:
            backend.gate.clear()
            asked = [asyncio.create_task(client.post("/v1/predict", files=form(GOOD))) for _ in range(2)]
            await until(client, "sparseinst_queue_images", 2)
            refused = await client.post("/v1/predict", files=form(GOOD))
            assert (refused.status_code, code_of(refused)) == (503, "busy")
            assert int(refused.headers["Retry-After"]) >= 1
            for answer in await asyncio.gather(*asked):
                assert (answer.status_code, code_of(answer)) == (504, "timeout")
            backend.gate.set()
            assert (await client.post("/v1/predict", files=form(GOOD))).status_code == 200
            assert await metric(client, "sparseinst_queue_images") == 0

    run(scenario())


def test_a_client_that_goes_away_frees_its_place() -> None:
    backend = GatedBackend()

    async def leave_when_running(app: Any) -> None:
        """A request whose client closes the connection once the network runs."""
        body, gone = httpx.Request("POST", "http://localhost", files=form(GOOD)), asyncio.Event()
        messages = [{"type": "http.request", "body": body.read(), "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            pass

        headers = [(name.lower(), value) for name, value in body.headers.raw]
        scope = {
            "type": "http", "method": "POST", "path": "/v1/predict", "raw_path": b"/v1/predict", "query_string": b"",
            "headers": headers, "http_version": "1.1", "scheme": "http", "asgi": {"version": "3.0"}, "root_path": "",
        }  # fmt: skip
        request = asyncio.create_task(app(scope, receive, send))
        while not backend.entered.is_set():
            await asyncio.sleep(0.01)
        gone.set()
        await request

    async def scenario() -> None:
        app = app_of(backend, queue=1, max_images=1)
        async with client_of(app) as client:
            backend.gate.clear()
            backend.entered.clear()
            await leave_when_running(app)
            assert await metric(client, "sparseinst_queue_images") == 0
            backend.gate.set()
            assert (await client.post("/v1/predict", files=form(GOOD))).status_code == 200
            assert 'status="499"' in (await client.get("/metrics")).text

    run(scenario())


def test_a_defect_is_told_without_its_details(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(GatedBackend):
        def __call__(self, *inputs: Any) -> Any:
            if inputs[0].any():  # a black image is how the service tries whether anything works
                raise RuntimeError("secret of the house")
            return super().__call__(*inputs)

    async def scenario() -> None:
        async with client_of(app_of(Broken())) as client:
            answer = await client.post("/v1/predict", files=form(GOOD))
            assert (answer.status_code, code_of(answer)) == (500, "internal")
            assert "secret" not in answer.text

    run(scenario())


def test_states() -> None:
    backend = GatedBackend()
    app = app_of(backend)

    async def scenario() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            backend.gate.clear()
            async with app.router.lifespan_context(app):
                answer = await client.get("/readyz")
                assert (answer.status_code, code_of(answer)) == (503, "loading")
                assert (await client.get("/healthz")).status_code == 200
                answer = await client.get("/v1/model")
                assert (answer.status_code, code_of(answer)) == (503, "loading")
                backend.gate.set()
                while (await client.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.01)
            answer = await client.get("/readyz")
            assert (answer.status_code, code_of(answer)) == (503, "draining")

    run(scenario())


def test_the_model_tells_what_it_knows() -> None:
    async def scenario() -> None:
        settings = {"name": "colours", "max_images": 5, "max_body_mb": 7, "max_pixels": 99}
        async with client_of(app_of(GatedBackend(), **settings)) as client:
            told = (await client.get("/v1/model")).json()
            assert (await client.get("/sample.png")).status_code == 404
        assert Model.model_validate(told).classes == ["red", "grün", "blue"]
        assert told["limits"] == {"body_mb": 7, "pixels": 99, "images": 5}
        assert (told["name"], told["score"], told["note"], told["sample"]) == ("colours", 0.3, None, None)
        async with client_of(app_of(GatedBackend(), shipped=True, score=0.7)) as client:
            told = (await client.get("/v1/model")).json()
            assert told["score"] == 0.7 and "sparseinst serve --model" in told["note"]
            sample = await client.get("/" + told["sample"])
        assert sample.content == DEMO_IMAGE.read_bytes() and sample.headers["content-type"] == "image/png"

    run(scenario())


def test_metrics_count_what_was_done() -> None:
    async def scenario() -> None:
        async with client_of(app_of(GatedBackend())) as client:
            await client.post("/v1/predict", files=form(GOOD, GOOD))
            await client.post("/v1/predict", files=form(b"x"))
            await client.get("/some/path")
            text = (await client.get("/metrics")).text
            assert await metric(client, "sparseinst_images_total") == 2
            assert await metric(client, "sparseinst_instances_total") == 2
            assert await metric(client, "sparseinst_requests_in_flight") == 1
        assert 'sparseinst_requests_total{method="POST",route="/v1/predict",status="200"} 1.0' in text
        assert 'sparseinst_requests_total{method="POST",route="/v1/predict",status="422"} 1.0' in text
        assert "/some/path" not in text

    run(scenario())


def test_openapi_describes_requests_answers_and_errors_with_examples() -> None:
    async def scenario() -> None:
        async with client_of(app_of(GatedBackend())) as client:
            document = (await client.get("/openapi.json")).json()
            for path in ("/docs", "/redoc"):
                assert (await client.get(path)).status_code == 404
        predict = document["paths"]["/v1/predict"]["post"]
        assert set(predict["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
        assert {"200", "400", "401", "408", "413", "415", "422", "503", "504"} <= set(predict["responses"])
        (example,) = document["components"]["schemas"]["Prediction"]["examples"]
        Prediction.model_validate(example)
        (mask,), (instance,) = masks_of(example["images"][0]), example["images"][0]["instances"]
        x, y, width, height = instance["bbox"]
        assert mask.sum() == mask[y : y + height, x : x + width].sum() == instance["area"]
        options = {"score", "masks", "activation", "preview", "measure", "pixel_um"}
        assert {parameter["name"] for parameter in predict["parameters"]} == options

    run(scenario())


def test_a_wrong_way_or_address_is_told_as_any_error() -> None:
    async def scenario() -> None:
        async with client_of(app_of(GatedBackend())) as client:
            answer = await client.get("/v1/predict")
            assert (answer.status_code, code_of(answer)) == (405, "method_not_allowed")
            answer = await client.get("/v2/predict")
            assert (answer.status_code, code_of(answer)) == (404, "not_found")

    run(scenario())
