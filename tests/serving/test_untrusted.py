"""Clients that mean no good, or whose lines are slow: they cost what is told, and nobody else waits for them."""

import asyncio
import json
import logging
import os
import signal
import socket
import time
from contextlib import ExitStack, closing, suppress
from typing import Any
from urllib.parse import urlsplit

import cv2
import httpx
import numpy as np
import pytest
from torch import Tensor
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from inference.standins import ColorBackend
from serving.apps import GatedBackend, app_of, client_of, code_of, encoded, form, picture, run
from serving.test_server import Server, running
from sparseinst.predictions import Candidates
from sparseinst.serving import service as service_module
from sparseinst.serving.access import LOGGER
from sparseinst.serving.budget import Budget

FILES = form(encoded(picture()))


def slow_body(server: Server, *, size: int = 10_000_000) -> socket.socket:
    """A connection whose request says that much will come, and sends nearly nothing."""
    parts = urlsplit(server.address)
    line = socket.create_connection((parts.hostname, parts.port))
    line.sendall(
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: %d\r\n\r\n--x\r\n" % size
    )
    return line


def answer_of(line: socket.socket) -> bytes:
    line.settimeout(30)
    parts = []
    while part := line.recv(4096):
        parts.append(part)
    return b"".join(parts)


def test_slow_bodies_take_no_place_and_are_ended() -> None:
    with running(queue=16) as server, ExitStack() as opened:
        lines = [opened.enter_context(closing(slow_body(server))) for _ in range(64)]
        for _ in range(5):
            assert server.predict().status_code == 200
        answer = answer_of(lines[0])
        assert answer.startswith(b"HTTP/1.1 408") and b"kB a second" in answer


def test_connections_are_bounded_and_silent_ones_are_closed() -> None:
    with running(max_connections=8, header_timeout_s=1.0) as server, ExitStack() as opened:
        parts = urlsplit(server.address)

        def silent() -> socket.socket:
            return opened.enter_context(closing(socket.create_connection((parts.hostname, parts.port))))

        lines = [silent() for _ in range(8)]
        lines[0].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        time.sleep(0.3)
        over = silent()
        over.settimeout(5)
        with pytest.raises((ConnectionResetError, AssertionError)):
            assert over.recv(1), "closed at once"
        for line in lines:
            line.settimeout(5)
            with pytest.raises((ConnectionResetError, AssertionError)):
                assert line.recv(1), "closed after a second"
        assert server.predict().status_code == 200


def test_requests_that_become_no_http_end_their_connection_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with running() as server:
        parts = urlsplit(server.address)
        for head in (b"POST /v1/predict", b"GET /", b"GET /healthz"):
            for body in (b"zz\r\n", b"3\r\nabcdefgh\r\n", b"0\r\n\r\n\x00\xff /\r\n\r\n"):
                start = head + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                for pieces in ((start + body,), (start, body)):
                    with closing(socket.create_connection((parts.hostname, parts.port))) as line:
                        for piece in pieces:
                            line.sendall(piece)
                            time.sleep(0.02)
                        with suppress(ConnectionResetError):
                            answer_of(line)
        assert server.predict().status_code == 200
    assert "Traceback" not in capfd.readouterr().err


def test_headers_are_bounded() -> None:
    with running() as server:
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{server.address}/", headers={"X": "x" * 10**6}).raise_for_status()
        assert server.predict().status_code == 200


def deep(side: int) -> bytes:
    """A small file of many pixels: 16-bit RGB of one colour."""
    return bytes(cv2.imencode(".png", np.zeros((side, side, 3), np.uint16))[1])


def test_many_deep_images_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "decode", lambda *_: pytest.fail("decoded"))
    content = deep(2500)

    async def scenario() -> None:
        async with client_of(app_of(GatedBackend())) as client:
            refused = await client.post("/v1/predict", files=form(*[content] * 16))
            assert (refused.status_code, code_of(refused)) == (413, "image_too_large")
            assert "MB to decode" in refused.text

    run(scenario())


def test_decoding_at_once_has_a_budget() -> None:
    async def scenario() -> None:
        budget, most = Budget(100), 0

        async def use(amount: int) -> None:
            nonlocal most
            await budget.take(amount)
            most = max(most, budget.taken)
            await asyncio.sleep(0.001)
            budget.give(amount)

        await asyncio.gather(*(use(amount) for amount in (60, 60, 30, 100, 10) * 5))
        assert most <= 100 and budget.taken == 0
        left = asyncio.create_task(use(100))
        await budget.take(1)
        left.cancel()
        await asyncio.sleep(0)
        budget.give(1)
        await asyncio.wait_for(use(100), 5)

    run(scenario())


def test_the_budget_comes_back_when_a_request_times_out_while_it_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Any] = []
    real = service_module.decode

    def slow(*args: Any) -> Any:
        time.sleep(0.5)
        return real(*args)

    monkeypatch.setattr(service_module, "decode", slow)

    async def scenario() -> None:
        app = app_of(GatedBackend(), timeout_s=0.2, max_decoded_mb=0.05)
        async with client_of(app) as client:
            assert (await client.post("/v1/predict", files=FILES)).status_code == 504
            held.append((await client.post("/v1/predict", files=FILES)).status_code)  # waits for the first to end
            await asyncio.sleep(0.6)
            monkeypatch.setattr(service_module, "decode", real)
            assert (await client.post("/v1/predict", files=FILES)).status_code == 200

    run(scenario())
    assert held == [504]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://[x"}, 403),
        ({"host": "evil.com@127.0.0.1"}, 400),
        ({"host": "localhost/"}, 400),
        ({"host": "[::1"}, 400),
        ({"origin": "null"}, 403),
        ({"host": "localhost:123456789"}, 400),
    ],
)
def test_headers_that_no_browser_sends(headers: dict[str, str], status: int) -> None:
    async def scenario() -> None:
        async with client_of(app_of(GatedBackend())) as client:
            answer = await client.get("/v1/model", headers=headers)
            assert answer.status_code == status and code_of(answer) in ("wrong_host", "wrong_origin")

    run(scenario())


def test_first_messages_that_are_no_key() -> None:
    with running(api_key="s3cret") as server:
        for first in ('{"key": "\\ud800"}', "[" * 100_000, '{"key": {"a": 1}}', "\\", ""):
            with connect(f"{server.address.replace('http', 'ws')}/v1/stream") as line:
                line.send(first)
                with pytest.raises(ConnectionClosed) as closed:
                    line.recv(10)
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


class Breaks(ColorBackend):
    """Works once; then it is broken for good."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error, self.runs = error, 0

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        self.runs += 1
        if self.runs > 1:
            raise self.error
        return super().__call__(images, resized_hw)


@pytest.mark.parametrize("error", [RuntimeError("CUDA error"), SystemExit(3)])
def test_a_broken_network_ends_the_process(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    async def scenario() -> None:
        async with client_of(app_of(Breaks(error))) as client:
            seen.append((await client.post("/v1/predict", files=FILES)).status_code)
            seen.append((await client.get("/readyz")).status_code)
            seen.append((await client.post("/v1/predict", files=FILES)).status_code)
            await asyncio.sleep(5)

    with pytest.raises(SystemExit) as ended:
        run(scenario())
    assert seen == [503, 503, 503] and ended.value.code == 1


def test_each_request_has_a_line_and_an_id(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with client_of(app_of(GatedBackend(), api_key="s3cret", access_log="json")) as client:
            with caplog.at_level(logging.INFO, LOGGER.name):
                answer = await client.post("/v1/predict?x=s3cret", files=FILES, headers={"x-api-key": "s3cret"})
                gone = await client.get("/v1/%0Amodel", headers={"x-api-key": "s3cret"})
            lines = [json.loads(record.message) for record in caplog.records if record.name == LOGGER.name]
            assert [line["id"] for line in lines] == [a.headers["x-request-id"] for a in (answer, gone)]
            assert lines[0]["path"] == "/v1/predict" and lines[0]["status"] == 200 and lines[0]["ms"] > 0
            assert lines[0]["sent"] == len(answer.content) and lines[0]["received"] > len(FILES[0][1])
            assert "s3cret" not in caplog.text and lines[1]["path"] == "/v1/%0Amodel"

    run(scenario())


def test_a_closed_terminal_lets_running_requests_finish() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with running(seconds=1.0) as server, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.predict)
        server.until("sparseinst_queue_images", 1)
        os.kill(server.process.pid, signal.SIGHUP)
        assert asked.result().status_code == 200
        assert server.process.wait(20) == 0
