"""What the anchored start brings: the `nuclei` recipe, started as published and anchored, with the same short budget.

python benchmarks/start.py --init BACKBONE_WEIGHTS [--data ../shared/data/dsb2018] [--iterations 250]
"""

import argparse
import csv
import tempfile
from pathlib import Path

from record import write_result
from rich.console import Console

from sparseinst import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018"))
    parser.add_argument("--init", default=None, help="ImageNet weights of the backbone; without it, timm's")
    parser.add_argument("--iterations", type=int, default=250)
    options = parser.parse_args()
    figures = {"data": "dsb2018", "iterations": options.iterations, "starts": {}}
    for start in ("published", "anchored"):
        with tempfile.TemporaryDirectory() as folder:
            result = train(
                options.data, "nuclei", Path(folder) / start, init=options.init, iterations=options.iterations,
                settings={"start": start, "pictures": 0}, console=Console(), device="cpu",
            )  # fmt: skip
            rows = list(csv.DictReader((result.out / "metrics.csv").open()))
            figures["starts"][start] = {
                "seconds": round(result.seconds),
                "val": result.evaluation.to_json(),
                "loss_dice": {row["iteration"]: round(float(row["loss_dice"]), 3) for row in rows},
            }
        print(write_result("start", figures))


if __name__ == "__main__":
    main()
