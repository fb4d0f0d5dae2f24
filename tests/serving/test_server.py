"""The service as a process of its own: signals, several workers, a client that is really gone."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from serving.apps import encoded, form, picture
from sparseinst.errors import InputError
from sparseinst.serving.server import serve
from sparseinst.serving.settings import ServeSettings

TESTS = Path(__file__).parents[1]
FILES = form(encoded(picture()))
_START_S = 300
"""Longest time for a process to start, in seconds, on a machine that has much else to do."""


class Server:
    """A running service."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address

    def predict(self) -> httpx.Response:
        return httpx.post(f"{self.address}/v1/predict", files=FILES, timeout=30)

    def metric(self, name: str) -> float:
        lines = httpx.get(f"{self.address}/metrics").text.splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def until(self, name: str, value: float) -> None:
        give_up = time.monotonic() + _START_S
        while (found := self.metric(name)) != value:
            assert time.monotonic() < give_up, f"{name} stayed {found}"
            time.sleep(0.02)


@contextmanager
def running(**options: Any) -> Iterator[Server]:
    command = [sys.executable, "-m", "serving.slow_service", json.dumps(options)]
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address.startswith("http"), "the service has not started"
            while httpx.get(f"{address}/readyz", timeout=_START_S).status_code != 200:
                time.sleep(0.05)
            yield Server(process, address)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with its workers, if there are any left


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_requests_finish_and_ends_with_0(number: signal.Signals) -> None:
    with running(seconds=1.0, max_batch=1) as server, ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(server.predict) for _ in range(2)]
        server.until("sparseinst_queue_images", 2)
        server.process.send_signal(number)
        with pytest.raises(httpx.TransportError):
            while True:
                httpx.get(f"{server.address}/healthz", timeout=30)
        assert not asked[1].done(), "nobody new is let in while requests run"
        for answer in asked:
            assert answer.result().status_code == 200
            assert answer.result().json()["images"][0]["instances"][0]["class"] == "red"
        assert server.process.wait(20) == 0


def test_a_signal_closes_streams_with_the_code_of_a_restart() -> None:
    with running() as server:
        with connect(f"{server.address.replace('http', 'ws')}/v1/stream") as stream:
            stream.send(FILES[0][1])
            assert json.loads(stream.recv(10))["frame"] == 0
            server.process.terminate()
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv(10)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
        assert server.process.wait(20) == 0


def test_a_frame_beyond_the_limit_closes_its_stream_alone() -> None:
    with running(max_body_mb=0.05) as server:
        with connect(f"{server.address.replace('http', 'ws')}/v1/stream") as stream:
            stream.send(bytes(60_000))
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv(10)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
        assert server.predict().status_code == 200


def test_a_body_beyond_the_limit_is_told_so_while_it_is_sent() -> None:
    with running(max_body_mb=1) as server:
        for content in (bytes(20_000_000), (bytes(100_000) for _ in range(200))):
            headers = {"content-type": "application/json"}
            answer = httpx.post(f"{server.address}/v1/predict", content=content, headers=headers, timeout=30)
            assert answer.json()["error"]["code"] == "body_too_large"


@pytest.mark.parametrize("whole", [True, False])
def test_a_connection_that_breaks_frees_its_place(whole: bool) -> None:
    with running(seconds=1.0) as server:
        place = urlsplit(server.address)
        request = httpx.Request("POST", f"{server.address}/v1/predict", files=FILES)
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        with socket.create_connection((place.hostname, place.port)) as connection:
            body = request.read()
            connection.sendall(f"POST /v1/predict HTTP/1.1\r\n{head}\r\n".encode() + (body if whole else body[:50]))
            if whole:  # a place is taken once a request is complete
                server.until("sparseinst_queue_images", 1)
        server.until('sparseinst_requests_total{method="POST",route="/v1/predict",status="499"}', 1)
        server.until("sparseinst_queue_images", 0)


def test_workers_share_address_and_figures_and_end_with_0() -> None:
    def predict() -> httpx.Response:
        """As a client does who comes back: one worker may be loading still when the other is ready."""
        answers = (server.predict() for _ in range(_START_S))
        return next(answer for answer in answers if answer.status_code != 503 or time.sleep(1))

    with running(workers=2, seconds=0.2) as server, ThreadPoolExecutor(4) as pool:
        answers = [answer.result() for answer in [pool.submit(predict) for _ in range(12)]]
        assert [answer.status_code for answer in answers] == [200] * 12
        assert [server.metric("sparseinst_images_total") for _ in range(4)] == [12] * 4
        asked = pool.submit(predict)
        server.until("sparseinst_queue_images", 1)
        server.process.terminate()
        assert asked.result().status_code == 200
        assert server.process.wait(20) == 0


def test_workers_end_with_their_supervisor() -> None:
    with running(workers=2) as server:
        server.process.kill()
        server.process.wait(20)
        with pytest.raises(httpx.TransportError):
            while True:
                httpx.get(f"{server.address}/healthz", timeout=60)
                time.sleep(0.1)


def test_workers_that_cannot_open_the_network_end_it_all() -> None:
    with pytest.raises(httpx.TransportError), running(workers=2, fails_in_workers=True):
        pytest.fail("a service without a network was ready")


def never_opened(*, activation: bool = False) -> Any:
    pytest.fail("the network was opened for a service that cannot start")


def test_an_address_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = ServeSettings(port=taken.getsockname()[1])
        with pytest.raises(InputError, match=f"port {settings.port}.*--port"):
            serve(settings, never_opened, on_listening=print)
    with pytest.raises(InputError, match="--host"):
        serve(ServeSettings(host="203.0.113.1", open_to_all=True), never_opened, on_listening=print)


def test_it_does_not_start_open_to_strangers() -> None:
    with pytest.raises(InputError, match="--api-key"):
        serve(ServeSettings(host="0.0.0.0"), never_opened, on_listening=print)
