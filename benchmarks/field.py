"""Where the time of a field of 2048 x 2048 pixels goes, on one core: reading, network, and all that finds instances.

python benchmarks/field.py MODEL... [--data ../shared/data/dsb2018] [--fields 2] [--name field]

A MODEL is a name, run by ONNX Runtime, or an exported file. The fields are those of benchmarks/plate.py, in this
process; the first goes through once before, uncounted. Seconds are those of the processor, which other work on a
machine hardly changes; where two cores share the work evenly, the clock shows half of them.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from plate import write_fields
from record import write_result

from sparseinst.cli.allocator import keep_freed_memory
from sparseinst.inference.pipeline import Pipeline
from sparseinst.runtime.backends import open_backend
from sparseinst.runtime.onnx_backend import OnnxFields


def measured(model: str, files: list[Path]) -> dict[str, Any]:
    """Seconds of the processor for each field, by stage."""
    pipeline = Pipeline(open_backend(model, name="onnxruntime", threads=1))
    inside, spent = OnnxFields.__call__, {"network": 0.0}

    def timed(self: OnnxFields, *given: Any) -> Any:
        begun = time.process_time()
        found = inside(self, *given)
        spent["network"] += time.process_time() - begun
        return found

    OnnxFields.__call__ = timed  # type: ignore[method-assign]
    next(pipeline.found([pipeline.cut(files[0])]))
    spent["network"], found, reading = 0.0, 0, 0.0
    begun = time.process_time()
    for file in files:
        start = time.process_time()
        pixels = pipeline.read(file)
        reading += time.process_time() - start
        cut = pipeline.cut(pixels)
        found += len(next(pipeline.found([cut])))
    total = time.process_time() - begun
    OnnxFields.__call__ = inside  # type: ignore[method-assign]
    seconds = {"reading": reading, "network": spent["network"], "rest": total - reading - spent["network"]}
    each = {name: round(value / len(files), 2) for name, value in {**seconds, "all": total}.items()}
    return {
        "precision": pipeline.backend.exported.precision if pipeline.backend.exported is not None else "fp32",  # type: ignore[attr-defined]
        "tiles": len(cut.windows),
        "objects_a_field": round(found / len(files)),
        "seconds_a_field": each,
    }


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018"))
    parser.add_argument("--fields", type=int, default=2)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--name", default="field", help="name of the result file")
    options = parser.parse_args()
    keep_freed_memory()  # as the command does
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_fields(options.data, Path(folder), options.fields, options.side)
        files = [Path(folder) / f"field_{number}.tif" for number in range(options.fields)]
        for model in options.models:
            rows.append(measured(model, files))
            print(rows[-1], flush=True)
    print(write_result(options.name, {"cores": 1, "side_px": options.side, "fields": options.fields, "rows": rows}))


if __name__ == "__main__":
    main()
