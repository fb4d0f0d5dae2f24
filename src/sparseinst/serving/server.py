"""The processes of the service: listening, signals, workers.

Nothing heavy is imported here: a worker process must answer its supervisor while it still imports the rest.
"""

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.supervisors import Multiprocess

from sparseinst.errors import InputError
from sparseinst.serving.connections import MOST_HEADER_BYTES, BoundedProtocol, ConnectionLimits
from sparseinst.serving.settings import SHARED_FOLDER, ServeSettings

if TYPE_CHECKING:
    from sparseinst.runtime.backends import Backend
    from sparseinst.serving.held_network import OpenNetwork

_HUNG_S = 60
"""A worker that does not answer for so long, in seconds, is replaced; a busy machine takes its time to start one."""
_MORE_S = 5
"""On shutdown, how much longer than a request may take connections are waited for, in seconds."""


def serve(settings: ServeSettings, open_network: "OpenNetwork", *, on_listening: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT; then what runs is finished.

    Args:
        settings: how.
        open_network: opens the network; with several workers it is sent to them.
        on_listening: told the address of the page, once connections are taken.

    Raises:
        InputError: settings that do not go together, a network that cannot be opened, or an address that is taken.
    """
    settings.check()
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # clients' mistakes are told to them
    with _listening(settings) as listener:
        address = _address(listener, settings.host)
        if settings.workers == 1:
            _serve_here(settings, open_network, listener, lambda: on_listening(address))
        else:
            open_network()  # a wrong name is told once, and not by every process
            on_listening(address)
            _serve_by_workers(settings, open_network, listener)


def _serve_here(
    settings: ServeSettings, open_network: "OpenNetwork", listener: socket.socket, on_listening: Callable[[], None]
) -> None:
    opened = _Opened(open_network(), open_network)
    server = uvicorn.Server(_config(settings, partial(_create, settings, opened)))
    # The server raises the signal once more when all is done, which would end the process with another code than 0.
    before = {number: signal.signal(number, _ignore) for number in (signal.SIGTERM, signal.SIGINT)}
    if hasattr(signal, "SIGHUP"):  # a terminal that is closed ends what runs in it, but not in the middle of an answer
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, server.handle_exit)
    try:
        on_listening()
        server.run([listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve_by_workers(settings: ServeSettings, open_network: "OpenNetwork", listener: socket.socket) -> None:
    with tempfile.TemporaryDirectory(prefix="sparseinst-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder
        config = _config(settings, partial(_create, settings, open_network))
        workers = Multiprocess(config, [listener])
        workers.run()
        failed = [process.exitcode for process in workers.processes if process.exitcode not in (0, -signal.SIGTERM)]
    if failed:
        raise RuntimeError(f"worker processes ended with {failed}; what they logged says why")


def _create(settings: ServeSettings, open_network: "OpenNetwork") -> object:
    """The app of a process; several share the processor's cores."""
    import torch

    from sparseinst.serving.access import start_log
    from sparseinst.serving.app import create_app

    start_log(settings.access_log)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
        threading.Thread(target=_end_with_parent, daemon=True).start()
    return create_app(settings, open_network)


def _end_with_parent() -> None:
    """Ends a worker whose supervisor was killed: it would hold the address, and nobody would know of it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


class _Opened:
    """A network that is open already, as `OpenNetwork`."""

    def __init__(self, backend: "Backend", open_network: "OpenNetwork") -> None:
        self._backend, self._open_network = backend, open_network

    def __call__(self, *, activation: bool = False) -> "Backend":
        return self._open_network(activation=True) if activation else self._backend


def _config(settings: ServeSettings, app: Callable[[], object]) -> uvicorn.Config:
    limits = ConnectionLimits(settings.max_connections, settings.header_timeout_s, settings.timeout_s)
    return uvicorn.Config(
        app,
        factory=True,
        http=partial(BoundedProtocol, limits=limits),  # type: ignore[arg-type]
        limit_concurrency=None,  # it counts too late, when the headers have come
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        workers=settings.workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,  # frames are compressed already
        timeout_graceful_shutdown=round(settings.timeout_s) + _MORE_S,
        timeout_worker_healthcheck=_HUNG_S,
    )


def _listening(settings: ServeSettings) -> socket.socket:
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise InputError(
            f"host {settings.host}, port {settings.port}: expected an address to listen on, got {error}: give another "
            "--host or --port"
        ) from error
    listener.set_inheritable(True)
    return listener


def _address(listener: socket.socket, host: str) -> str:
    port = listener.getsockname()[1]
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def _ignore(*_: object) -> None:
    pass
