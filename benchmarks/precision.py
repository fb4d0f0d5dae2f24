"""What 16 and 8 bits cost in accuracy: AP of the shipped network on the validation images, by backend.

python benchmarks/precision.py DATA CALIBRATION [--model nuclei] [--max-dets 300]

DATA holds val/ and val.json, CALIBRATION images that 8-bit statistics are taken from (not those of val).
"""

import argparse
import tempfile
from pathlib import Path

from record import write_result

from sparseinst import evaluate
from sparseinst.exporting.exporter import export_model
from sparseinst.runtime.backends import open_backend


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--max-dets", type=int, default=300)
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        int8 = Path(folder) / "int8.xml"
        export_model(options.model, int8, export_format="openvino", precision="int8", calibration=options.calibration)
        backends = {
            "eager": lambda: open_backend(options.model, name="eager"),
            "torch": lambda: open_backend(options.model, name="torch"),
            "torch 16 bits": lambda: open_backend(options.model, name="torch", half=True),
            "onnxruntime": lambda: open_backend(options.model, name="onnxruntime"),
            "openvino": lambda: open_backend(options.model, name="openvino"),
            "openvino 16 bits": lambda: open_backend(options.model, name="openvino", half=True),
            "openvino int8": lambda: open_backend(int8),
            "openvino int8, rest 16 bits": lambda: open_backend(int8, half=True),
        }
        for name, make in backends.items():
            found = evaluate(make(), options.data / "val", options.data / "val.json", max_dets=options.max_dets)
            figures[name] = {"ap": round(found.ap, 4), "ap50": round(found.ap50, 4)}
            print(name, figures[name], flush=True)
    print(write_result("precision", {"model": options.model, "max_dets": options.max_dets, "backends": figures}))


if __name__ == "__main__":
    main()
