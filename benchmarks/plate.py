"""Seconds and memory for fields of a plate: 2048 x 2048 pixels of 16 bits, from files to label images and measurements.

python benchmarks/plate.py [--data ../shared/data/dsb2018] [--fields 8] [--side 2048] [--backends onnxruntime openvino]
    [--calibration ../shared/data/dsb2018/train] [--measure] [--name plate]

A field is a mosaic of the fluorescence images of DSB 2018's validation part, in an order of its own, in a TIFF file.
`sparseinst predict FOLDER --save-masks` looks at one field, then at all, held to two cores; `--measure` measures cells,
too, and with calibration images there is a row for the 8-bit file of ONNX Runtime that is exported with them. A field
takes what all take longer than one, divided by their number less one, so that start and loading are left out. A plate
of 384 wells with 9 fields each is extrapolated from that, not measured. Memory is the largest
resident one of the process. Seconds of the processors, which other work on a machine hardly changes, stand beside
those of the clock.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from record import write_result

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data

CELL_PX = 256
WELLS, FIELDS_A_WELL = 384, 9
CORES = 2


def write_fields(data: Path, folder: Path, count: int, side: int) -> None:
    """Writes the fields as field_0.tif and so on."""
    across = side // CELL_PX
    split = resolve_data(data).val
    dataset = CocoDataset.load(split.images, split.annotations)
    cells = []
    for index in range(len(dataset)):
        pixels = np.asarray(Image.open(dataset.path(index)).convert("RGB"))
        grey = bool((pixels == pixels[:, :, :1]).all()) and np.median(pixels) < 64
        if grey and dataset.size_hw(index) == (CELL_PX, CELL_PX):
            cells.append(pixels[:, :, 0].astype(np.uint16) * 16)
    for number in range(count):
        random = np.random.default_rng(number)
        order = random.integers(0, len(cells), (across, across))
        field: NDArray[np.uint16] = np.block([[cells[place] for place in row] for row in order])
        tifffile.imwrite(folder / f"field_{number}.tif", field, photometric="minisblack")


def run(source: Path, out: Path, backend: str, options: list[str]) -> dict[str, float]:
    """One run of the command line: seconds of the clock and the processors, and its largest memory.

    `backend` is the name of one, or an exported file.
    """
    command = [sys.executable, "-m", "sparseinst.cli", "predict", str(source), "--out", str(out), "--save-masks"]
    begun = time.perf_counter()
    taken = ["--model" if backend.endswith(".onnx") else "--backend", backend]
    process = subprocess.Popen(
        [*command, "--save-json", *taken, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join([*command, *taken])}: failed with status {status}")
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, "memory_mb": used.ru_maxrss / 1024}


def measured(folder: Path, fields: int, backend: str, options: list[str]) -> dict[str, Any]:
    """What a field takes, and a plate of them."""
    with tempfile.TemporaryDirectory() as out:
        one = run(folder / "field_0.tif", Path(out) / "one", backend, options)
        every = run(folder, Path(out) / "all", backend, options)
        found = len(json.loads((Path(out) / "all" / "predictions.json").read_text())["annotations"])
    each = {name: (every[name] - one[name]) / (fields - 1) for name in ("seconds", "cpu_seconds")}
    if min(each.values()) <= 0:
        raise SystemExit(f"{backend}: {fields} fields took no longer than one: wait until the machine is quiet")
    return {
        "backend": backend,
        "measured": "--measure" in options,
        "seconds_a_field": round(each["seconds"], 2),
        "cpu_seconds_a_field": round(each["cpu_seconds"], 2),
        "objects_a_field": round(found / fields),
        "hours_a_plate": round(each["seconds"] * WELLS * FIELDS_A_WELL / 3600, 2),
        "memory_mb": round(every["memory_mb"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018"))
    parser.add_argument("--fields", type=int, default=8, help="at least 2")
    parser.add_argument("--side", type=int, default=2048, help=f"of a field, a multiple of {CELL_PX} pixels")
    parser.add_argument("--backends", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument("--calibration", type=Path, help="images for a row in 8 bits")
    parser.add_argument("--measure", action="store_true", help="also with measurements of cells")
    parser.add_argument("--name", default="plate", help="name of the result file")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    rows = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        write_fields(options.data, Path(folder), options.fields, options.side)
        backends = {name: name for name in options.backends}
        if options.calibration is not None:
            file = Path(other) / "int8.onnx"
            export = [sys.executable, "-m", "sparseinst.cli", "export", "nuclei", "--format", "seeds", "--int8"]
            subprocess.run([*export, "--calibration", options.calibration, "--out", file], check=True)
            backends["onnxruntime, 8 bits"] = str(file)
        for name, backend in backends.items():
            run(Path(folder) / "field_0.tif", Path(other) / "first", backend, [])  # which converts the network
            for asked in ([], ["--measure"]) if options.measure else ([],):
                rows.append({**measured(Path(folder), options.fields, backend, asked), "backend": name})
                print(json.dumps(rows[-1]), flush=True)
    figures = {
        "cores": CORES,
        "side_px": options.side,
        "fields": options.fields,
        "load_average": os.getloadavg()[0],
        "rows": rows,
    }
    print(write_result(options.name, figures))


if __name__ == "__main__":
    main()
