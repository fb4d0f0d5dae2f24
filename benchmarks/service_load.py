"""The service under 64 clients, under twice as many, and beside slow ones, as a process of its own on two cores.

python benchmarks/service_load.py [--model nuclei] [--images FILES ...] [--seconds 120] [--connections 64]

Everything is on the loopback and ends by itself. 64 connections ask again as soon as they are answered: the slowest
hundredth should wait no longer than the queue is long, read errors should be none, and the memory flat once all have
been answered a few times. Then twice as many, half of which there is no place for. Then four clients beside 64 that
send headers or bodies a byte a second, or nothing: how long those four wait, and when the slow ones are closed.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from record import write_result

from serving import Load, service
from sparseinst.zoo.names import DEMO_IMAGE

CORES = 2
HONEST = 4
WARM = 0.25
"""Share of the time after which memory should be flat."""
_HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n"

SLOW: dict[str, tuple[bytes, bytes]] = {
    "headers, a byte a second": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ", b"x"),
    "headers, then nothing": (b"GET / HTTP/1.1\r\n", b""),
    "nothing at all": (b"", b""),
    "bodies, a byte a second": (_HEAD + b"\r\n", b"x"),
}
"""What slow clients do -> what they send at once, and each second."""


async def under(load: Load, connections: int, seconds: float) -> dict[str, Any]:
    """So many clients, each with one request at a time."""
    memory: list[float] = [await load.memory_mb()]
    watching = asyncio.create_task(load.watch(memory))
    rate = await load.closed(connections, seconds)
    watching.cancel()
    told = load.figures()
    lost = sum(count for status, count in told["statuses"].items() if status not in ("200", "503"))
    at = [memory[min(len(memory) - 1, int(part * len(memory)))] for part in (0, WARM, 0.5, 0.75, 1)]
    return {
        "connections": connections, "seconds": seconds, "answers_per_s": round(rate, 2), **told, "lost": lost,
        "bound_ms": round(connections / max(rate, 1e-9) * 1000), "memory_mb": [round(value) for value in at],
    }  # fmt: skip


async def slow_client(address: str, first: bytes, more: bytes, ended: Callable[[float], None]) -> None:
    """One that sends little, until it is closed."""
    parts = urlsplit(address)
    begun = time.perf_counter()
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(first)
            while not reader.at_eof():
                writer.write(more)
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await reader.read(4096)
        finally:
            writer.close()
    ended(time.perf_counter() - begun)


async def beside(load: Load, address: str, connections: int, seconds: float, kind: str | None) -> dict[str, Any]:
    """A few clients beside slow ones."""
    ends: list[float] = []
    slow = [] if kind is None else [slow_client(address, *SLOW[kind], ends.append) for _ in range(connections)]
    tasks = [asyncio.create_task(one) for one in slow]
    rate = await load.closed(HONEST, seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    closed = {"closed": len(ends), "closed_after_s": [round(min(ends), 1), round(max(ends), 1)]} if ends else {}
    return {"slow": kind or "none", "answers_per_s": round(rate, 2), **load.figures(), **closed}


async def measure(address: str, files: list[Path], connections: int, seconds: float) -> dict[str, Any]:
    """All of it, in turn."""
    load = Load(address, files)
    await load.closed(2, 3.0)
    load.figures()
    figures: dict[str, Any] = {"load": await under(load, connections, seconds)}
    print(json.dumps(figures), flush=True)
    figures["overload"] = await under(load, 2 * connections, seconds / 4)
    print(json.dumps(figures["overload"]), flush=True)
    figures["slow_clients"] = []
    for kind in (None, *SLOW):
        figures["slow_clients"].append(await beside(load, address, connections, seconds / 6, kind))
        print(json.dumps(figures["slow_clients"][-1]), flush=True)
    figures["memory_mb_at_the_end"] = round(await load.memory_mb())
    return figures


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--images", type=Path, nargs="+", default=[DEMO_IMAGE])
    parser.add_argument("--seconds", type=float, default=120, help="of the load; the other parts take as long together")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--serve", default="", help="further options of `sparseinst serve`, in one string")
    parser.add_argument("--name", default="service_load", help="name of the result file")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    more = ["--access-log", "none", *shlex.split(options.serve)]
    with service(options.model, more) as address:
        figures = asyncio.run(measure(address, options.images, options.connections, options.seconds))
    print(write_result(options.name, {"model": options.model, "serve": options.serve, "cores": CORES, **figures}))


if __name__ == "__main__":
    main()
