"""Cold start: `sparseinst predict` of one image to the written file, beside importing torch and timm alone.

python benchmarks/startup.py [--pairs 7]

Every call is a process of its own, in turn; the network has been converted before (a matter of seconds, once).
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import write_result

from sparseinst.zoo.names import DEMO_IMAGE

IMPORTS = [sys.executable, "-c", "import torch, timm"]


def seconds(command: list[str]) -> float:
    """Wall time of a process that must end well."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    program = str(Path(sys.executable).with_name("sparseinst"))
    with tempfile.TemporaryDirectory() as folder:
        predict = [program, "predict", str(DEMO_IMAGE), "--out", folder]
        by_torch = [*predict, "--backend", "torch"]
        commands = {"import torch, timm": IMPORTS, "predict": predict, "predict by torch": by_torch}
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(options.pairs + 1):
            for name, command in commands.items():
                spent = seconds(command)
                if number:  # the first reads files that no cache holds yet
                    times[name].append(spent)
    medians = {name: round(statistics.median(values), 3) for name, values in times.items()}
    beyond = {name: round(value - medians["import torch, timm"], 3) for name, value in medians.items()}
    print(medians, beyond)
    print(write_result("startup", {"pairs": options.pairs, "median_s": medians, "beyond_imports_s": beyond}))


if __name__ == "__main__":
    main()
