import time
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from serving.apps import HERE, GatedBackend, app_of, encoded, picture

STREAM = "ws://localhost/v1/stream"
FRAMES = [encoded(picture(channel=c)) for c in range(3)]


def client_of(backend: GatedBackend, **settings: Any) -> TestClient:
    return TestClient(app_of(backend, **settings), base_url=HERE, raise_server_exceptions=False)


def wait_ready(client: TestClient) -> None:
    while client.get("/readyz").status_code != 200:
        time.sleep(0.01)


def classes(answer: dict[str, Any]) -> list[str]:
    return [found["class"] for found in answer["images"][0]["instances"]]


def test_each_frame_is_answered_with_its_number() -> None:
    with client_of(GatedBackend()) as client:
        wait_ready(client)
        with client.websocket_connect(f"{STREAM}?masks=polygons") as socket:
            for number, (frame, name) in enumerate(zip(FRAMES, ("red", "grün", "blue"), strict=True)):
                socket.send_bytes(frame)
                answer = socket.receive_json()
                assert (answer["frame"], classes(answer)) == (number, [name])
                assert isinstance(answer["images"][0]["instances"][0]["segmentation"], list)
                assert answer["milliseconds"]["total"] > 0


def test_a_newer_frame_takes_the_place_of_one_that_waits() -> None:
    backend = GatedBackend()
    with client_of(backend) as client:
        wait_ready(client)
        backend.gate.clear()
        backend.entered.clear()
        with client.websocket_connect(STREAM) as socket:
            socket.send_bytes(FRAMES[0])
            assert backend.entered.wait(10)
            socket.send_bytes(FRAMES[1])
            socket.send_bytes(FRAMES[1])
            socket.send_bytes(FRAMES[2])
            assert [socket.receive_json() for _ in range(2)] == [
                {"frame": 1, "dropped": True},
                {"frame": 2, "dropped": True},
            ]
            backend.gate.set()
            answers = [socket.receive_json() for _ in range(2)]
            assert [(answer["frame"], classes(answer)) for answer in answers] == [(0, ["red"]), (3, ["blue"])]
        assert "sparseinst_frames_dropped_total 2.0" in client.get("/metrics").text


def test_a_bad_frame_is_told_and_the_stream_goes_on() -> None:
    with client_of(GatedBackend(), max_pixels=10_000) as client:
        wait_ready(client)
        with client.websocket_connect(STREAM) as socket:
            for number, (frame, code) in enumerate(
                [
                    (b"no image", "undecodable"),
                    (encoded(picture(200, 200)), "image_too_large"),
                ]
            ):
                socket.send_bytes(frame)
                answer = socket.receive_json()
                assert (answer["frame"], answer["error"]["code"]) == (number, code)
            socket.send_bytes(FRAMES[0])
            assert classes(socket.receive_json()) == ["red"]


def test_a_text_is_no_frame() -> None:
    with client_of(GatedBackend()) as client:
        wait_ready(client)
        with client.websocket_connect(STREAM) as socket:
            socket.send_text("hello")
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_json()
    assert closed.value.code == 1003 and "binary" in closed.value.reason


def test_options_are_checked() -> None:
    with (
        client_of(GatedBackend()) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(f"{STREAM}?score=7"),
    ):
        pytest.fail("a stream with a wrong option was opened")


def works(socket: WebSocketTestSession) -> bool:
    socket.send_bytes(FRAMES[0])
    return classes(socket.receive_json()) == ["red"]


def test_the_key_comes_as_header_or_first_message() -> None:
    with client_of(GatedBackend(), api_key="s3cret") as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.01)
        with client.websocket_connect(STREAM, headers={"x-api-key": "s3cret"}) as socket:
            assert works(socket)
        with client.websocket_connect(STREAM) as socket:
            socket.send_json({"key": "s3cret"})
            assert works(socket)
        for message in ('{"key": "other"}', "s3cret", "[1]", "{"):
            with client.websocket_connect(STREAM) as socket:
                socket.send_text(message)
                with pytest.raises(WebSocketDisconnect) as closed:
                    socket.receive_json()
            assert closed.value.code == 1008 and "key" in closed.value.reason
        with client.websocket_connect(STREAM) as socket:
            socket.send_bytes(FRAMES[0])
            with pytest.raises(WebSocketDisconnect):
                socket.receive_json()


def test_a_key_that_nobody_asked_for_does_no_harm() -> None:
    with client_of(GatedBackend()) as client:
        wait_ready(client)
        with client.websocket_connect(STREAM) as socket:
            socket.send_json({"key": "anything"})
            assert works(socket)


@pytest.mark.parametrize(
    "headers", [{"origin": "https://other.example"}, {"host": "rebound.example"}, {"origin": "null"}]
)
def test_pages_of_other_sites_get_no_stream(headers: dict[str, str]) -> None:
    with (
        client_of(GatedBackend()) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(STREAM, headers=headers),
    ):
        pytest.fail("a stream was opened for another site")


def test_a_client_that_leaves_in_the_middle_frees_its_place() -> None:
    backend = GatedBackend()
    with client_of(backend, queue=1, max_images=1) as client:
        wait_ready(client)
        backend.gate.clear()
        backend.entered.clear()
        with client.websocket_connect(STREAM) as socket:
            socket.send_bytes(FRAMES[0])
            assert backend.entered.wait(10)
        while "sparseinst_queue_images 0.0" not in client.get("/metrics").text:
            time.sleep(0.01)
        backend.gate.set()
        with client.websocket_connect(STREAM) as socket:
            assert works(socket)
