"""A static site in Chromium, on one thread, beside ONNX Runtime on one thread: the same file, the same pictures.

python benchmarks/web.py [--rounds 10] [--name web]
"""

import argparse
import functools
import http.server
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from record import write_result

from sparseinst import Predictor
from sparseinst.data.prepare import stack
from sparseinst.exporting.exporter import export_model
from sparseinst.inference.timing import sized
from sparseinst.runtime.onnx_backend import OnnxBackend
from sparseinst.zoo.names import DEMO_IMAGE

SIZES_HW = ((512, 672), (1080, 1920))
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
MEASURE = """async ([picture, rounds]) => {
  const { engine } = await import(new URL("engine.js", document.baseURI));
  const { score } = await engine.model();
  const blob = await (await fetch(picture)).blob();
  const start = performance.now();
  let last = await engine.segment(blob, { score });
  const first = performance.now() - start;
  for (let i = 0; i < 2; i++) await engine.segment(blob, { score }); // the browser compiles better code meanwhile
  const times = [];
  for (let i = 0; i < rounds; i++) times.push((last = await engine.segment(blob, { score })).milliseconds);
  return { first, times, instances: last.instances.length };
}"""


def in_browser(browser: Browser, address: str, picture: str, rounds: int) -> dict[str, float]:
    """Median milliseconds of each part, and those of the first picture, the download from this machine included."""
    page = browser.new_page()
    page.set_default_timeout(0)
    page.goto(address + "errors.js")  # a page without anything else to do
    found: dict[str, Any] = page.evaluate(MEASURE, [picture, rounds])
    page.close()
    parts = {part: statistics.median(spent[part] for spent in found["times"]) for part in found["times"][0]}
    return {f"{part}_ms": round(value, 1) for part, value in parts.items()} | {
        "first_ms": round(found["first"]),
        "instances": found["instances"],
    }


def in_python(site: Path, picture: Path, rounds: int) -> dict[str, float]:
    """The same from the file on in Python, ONNX Runtime on one thread."""
    backend = OnnxBackend(site / "model.onnx", threads=1)
    predictor = Predictor(backend)
    inputs = stack([predictor.pipeline.prepare(picture)])
    spent: dict[str, list[float]] = {"network": [], "total": []}
    for number in range(-2, rounds):
        for part, work in (("network", lambda: backend(*inputs)), ("total", lambda: predictor(picture))):
            start = time.perf_counter()
            work()
            if number >= 0:
                spent[part].append(1000 * (time.perf_counter() - start))
    medians = {f"{part}_ms": round(statistics.median(times), 1) for part, times in spent.items()}
    return medians | {"instances": len(predictor(picture))}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    """Writes a site, measures, prints and stores the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--name", default="web", help="name of the result file")
    options = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = Path(folder) / "site"
        done = export_model("nuclei", site, export_format="web")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=site))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        version = browser.version
        for size in SIZES_HW:
            picture = sized(DEMO_IMAGE, size, Path(folder))
            shutil.copyfile(picture, site / picture.name)
            row = {
                "browser": in_browser(browser, f"http://127.0.0.1:{server.server_port}/", picture.name, options.rounds),
                "python": in_python(site, picture, options.rounds),
            }
            rows[f"{size[0]}x{size[1]}"] = row
            print(size, row, flush=True)
        browser.close()
        server.shutdown()
        megabytes = {
            path.name: round(path.stat().st_size / 1e6, 1) for path in done.files if path.suffix in (".onnx", ".wasm")
        }
    figures = {"model": "nuclei", "chromium": version, "threads": 1, "megabytes": megabytes, "pictures": rows}
    print(write_result(options.name, figures))


if __name__ == "__main__":
    main()
