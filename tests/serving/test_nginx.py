"""The nginx configuration of docs/trust.md in front of the service, run by Debian's nginx."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from serving.test_server import FILES, Server, running

DOCS = Path(__file__).parents[2] / "docs" / "trust.md"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx here: apt install nginx-light")

_FRAME = """
daemon off;
pid {folder}/pid;
error_log stderr;
{user}
events {{ }}
http {{
access_log off;
client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{config}
}}
"""


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as line:
        return int(line.getsockname()[1])


def config_of(folder: Path, port: int, service: str) -> str:
    """The block of the page, on another port, without the certificate, in front of another address."""
    (block,) = re.findall(r"```nginx\n(.*?)```", DOCS.read_text(), re.DOTALL)
    for pattern, text in (
        (r"listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        (r" *ssl_certificate(_key)? .*\n", ""),
        (r"http://127\.0\.0\.1:8000", service),
    ):
        block, count = re.subn(pattern, text, block)
        assert count, f"the page has no {pattern}"
    user = "user root;" if Path(folder).stat().st_uid == 0 else ""
    return _FRAME.format(folder=folder, config=block, user=user)


@pytest.fixture(scope="module")
def service() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def front(service: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of nginx."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    file = folder / "nginx.conf"
    file.write_text(config_of(folder, port, service.address))
    command = [str(NGINX), "-c", str(file), "-e", "stderr", "-p", str(folder)]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
    with subprocess.Popen(command) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(500):
                try:
                    httpx.get(f"{address}/healthz", timeout=60)
                    break
                except httpx.ConnectError:
                    time.sleep(0.02)
            yield address
        finally:
            process.terminate()


def calm() -> None:
    """Until the count of requests a second has gone down."""
    time.sleep(2.5)


def test_images_streams_and_the_page_pass(front: str) -> None:
    calm()
    answer = httpx.post(f"{front}/v1/predict", files=FILES, timeout=60)
    assert answer.status_code == 200 and answer.json()["images"][0]["instances"]
    assert httpx.get(front, timeout=60).text.startswith("<!doctype html>")
    with connect(f"{front.replace('http', 'ws')}/v1/stream", open_timeout=60) as stream:
        stream.send(FILES[0][1])
        told = json.loads(stream.recv(60))
        assert told["frame"] == 0 and "error" not in told


def test_slow_bodies_wait_in_nginx_and_one_address_gets_no_more_than_its_lines(front: str, service: Server) -> None:
    calm()
    port = int(front.rpartition(":")[2])
    with ExitStack() as opened:
        lines = [opened.enter_context(closing(socket.create_connection(("127.0.0.1", port)))) for _ in range(20)]
        for line in lines:
            line.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
                b"Content-Length: 100000\r\n\r\n--x\r\n"
            )
        refused = 0
        for line in lines:
            line.settimeout(1)
            try:
                refused += line.recv(99).startswith(b"HTTP/1.1 503")
            except TimeoutError:
                continue
        assert refused == 4, "16 at once"
        assert service.predict().status_code == 200
        assert service.metric("sparseinst_queue_images") == 0, "none of them has come to the service"


def test_bodies_and_rates_are_bounded_by_nginx(front: str) -> None:
    calm()
    large = httpx.post(f"{front}/v1/predict", content=bytes(34_000_000), timeout=60)
    assert large.status_code == 413 and "nginx" in large.text
    with httpx.Client(base_url=front, timeout=60) as client:
        answers = {client.get("/healthz").status_code for _ in range(300)}
    assert answers == {200, 503}
