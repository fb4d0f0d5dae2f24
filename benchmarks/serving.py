"""The service under load, as a process of its own, beside the bare network on the same images.

python benchmarks/serving.py [--model nuclei] [--images FILES ...] [--seconds 60] [--warm 10] [--serve="--workers 2"]

Four steps: the network alone (images prepared before); as many requests as the service can answer; 80 % of that as
they come from many clients who do not wait for each other; twice of it for `--seconds`, with the memory of the service
before, during and after. The clients run on the same machine and take their part of it. Without --images, the picture
that ships.
"""

import argparse
import asyncio
import itertools
import json
import random
import shlex
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from record import write_result

from sparseinst.cli.opening import open_model
from sparseinst.inference.predictor import Predictor
from sparseinst.zoo.names import DEMO_IMAGE

MAX_BATCH = 8
LOAD = 0.8
OVERLOAD = 2.0
SETTLE_S = 3
PAUSE_S = 0.1


@contextmanager
def service(model: str, options: list[str]) -> Iterator[str]:
    """The address of a service that is ready."""
    program = str(Path(sys.executable).with_name("sparseinst"))
    command = [program, "serve", "--model", model, "--port", "0", "--max-batch", str(MAX_BATCH), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = next(line.split()[-1] for line in process.stdout if line.startswith("The page is at"))
        while httpx.get(f"{address}/readyz", timeout=300).status_code != 200:
            time.sleep(0.1)
        yield address
        process.terminate()
        if process.wait(60) != 0:
            raise RuntimeError(f"the service ended with {process.returncode}")


def network_alone(model: str, files: list[Path], seconds: float) -> float:
    """Images a second of the network and its masks."""
    backend = open_model(model, weights=None, random_weights=False, device="cpu", half=False)
    predictor = Predictor(backend, batch=MAX_BATCH)
    prepared = [predictor.pipeline.prepare(predictor.pipeline.read(file)) for file in files]
    images = itertools.cycle(prepared)
    batches = predictor.pipeline.batches()
    list(batches.found(prepared[:1]))
    done, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        done += len(list(batches.found(itertools.islice(images, MAX_BATCH))))
    return done / (time.perf_counter() - start)


class Load:
    """Requests of one image each, and what became of them."""

    def __init__(self, address: str, files: list[Path]) -> None:
        self._address = address
        self._contents = itertools.cycle([file.read_bytes() for file in files])
        self._client = httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=None))
        self.statuses: Counter[str] = Counter()
        self.seconds: list[float] = []

    async def ask(self, since: float | None = None) -> bool:
        """One request, and whether it was answered; its latency counts from `since`, when it was due."""
        since = time.perf_counter() if since is None else since
        try:
            answer = await self._client.post(f"{self._address}/v1/predict", files={"image": next(self._contents)})
        except httpx.HTTPError as error:
            self.statuses[type(error).__name__] += 1
            return False
        self.statuses[str(answer.status_code)] += 1
        if answer.status_code == 200:
            self.seconds.append(time.perf_counter() - since)
        return answer.status_code == 200

    async def closed(self, clients: int, seconds: float) -> float:
        """Answers a second that so many clients get, each of whom asks again at once."""
        end = time.perf_counter() + seconds

        async def client() -> None:
            while time.perf_counter() < end:
                if not await self.ask():
                    await asyncio.sleep(PAUSE_S)

        start = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return len(self.seconds) / (time.perf_counter() - start)

    async def open(self, rate: float, seconds: float) -> None:
        """Requests at random times (Poisson), `rate` a second, whatever becomes of those before."""
        due = start = time.perf_counter()
        chance = random.Random(0)
        async with asyncio.TaskGroup() as asked:
            while (due := due + chance.expovariate(rate)) < start + seconds:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                asked.create_task(self.ask(due))

    async def memory_mb(self) -> float:
        """Resident memory of the service."""
        text = (await self._client.get(f"{self._address}/metrics")).text
        line = next(line for line in text.splitlines() if line.startswith("process_resident_memory_bytes"))
        return float(line.split()[1]) / 1e6

    async def watch(self, into: list[float]) -> None:
        """Notes the memory once a second."""
        while True:
            into.append(await self.memory_mb())
            await asyncio.sleep(1)

    def figures(self) -> dict[str, Any]:
        """What became of the requests since the last call; then begins anew."""
        cuts = statistics.quantiles(self.seconds, n=100) if len(self.seconds) > 1 else [0.0] * 99
        latency = {f"p{p}_ms": round(cuts[p - 1] * 1000, 1) for p in (50, 95, 99)}
        told = {"statuses": dict(sorted(self.statuses.items())), **latency}
        self.statuses, self.seconds = Counter(), []
        return told


async def measure(address: str, files: list[Path], *, warm: float, seconds: float) -> dict[str, Any]:
    """The three loads, one after the other."""
    load = Load(address, files)
    await load.closed(2, min(warm, 3.0))
    load.figures()
    rate = await load.closed(2 * MAX_BATCH, warm)
    figures: dict[str, Any] = {"most": {"images_per_s": round(rate, 2), **load.figures()}}
    print(json.dumps(figures), flush=True)
    await load.open(LOAD * rate, max(warm, 100 / rate))
    figures["at_80_percent"] = {"rate_per_s": round(LOAD * rate, 2), **load.figures()}
    memory = [await load.memory_mb()]
    watching = asyncio.create_task(load.watch(memory))
    await load.open(OVERLOAD * rate, seconds)
    watching.cancel()
    overload = load.figures()
    await asyncio.sleep(SETTLE_S)
    figures["overload"] = {
        "rate_per_s": round(OVERLOAD * rate, 2),
        "seconds": seconds,
        **overload,
        "lost": sum(count for status, count in overload["statuses"].items() if status not in ("200", "503")),
        "memory_mb": {
            "before": round(memory[0]),
            "half_way": round(memory[len(memory) // 2]),
            "most": round(max(memory)),
            "after": round(await load.memory_mb()),
        },
    }
    return figures


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--images", type=Path, nargs="+", default=[DEMO_IMAGE])
    parser.add_argument("--seconds", type=float, default=60, help="of the overload")
    parser.add_argument("--warm", type=float, default=20, help="seconds of each step before it")
    parser.add_argument("--serve", default="", help="further options of `sparseinst serve`, in one string")
    parser.add_argument("--name", default="serving", help="name of the result file")
    options = parser.parse_args()
    alone = network_alone(options.model, options.images, options.warm)
    print(f"network alone: {alone:.2f} images/s", flush=True)
    with service(options.model, shlex.split(options.serve)) as address:
        figures = asyncio.run(measure(address, options.images, warm=options.warm, seconds=options.seconds))
    share = figures["most"]["images_per_s"] / alone
    figures = {"network_alone_per_s": round(alone, 2), "share_of_it": round(share, 3), **figures}
    print(json.dumps(figures, indent=2))
    print(write_result(options.name, {"model": options.model, "serve": options.serve, **figures}))


if __name__ == "__main__":
    main()
