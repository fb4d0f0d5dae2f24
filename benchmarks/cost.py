"""Parameters and operations of networks: `python benchmarks/cost.py [NAMES] [--size HxW]`."""

import argparse

import torch
from record import write_result

from sparseinst.modeling.cost import cost
from sparseinst.modeling.model import build_model
from sparseinst.zoo.names import load_preset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["n", "s", "m", "l", "lite", "nuclei", "r50-giam"])
    parser.add_argument("--size", default="640x640")
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    figures = {}
    for name in arguments.names:
        with torch.device("meta"):
            network = build_model(load_preset(name).model).eval()
        counted = cost(network, (height, width))
        figures[name] = {
            "parameters": counted.total.parameters,
            "gflop": {
                **{part: one.flops / 1e9 for part, one in counted.parts.items()},
                "total": counted.total.flops / 1e9,
            },
        }
        print(name, figures[name])
    write_result("cost", {"size_hw": [height, width], "networks": figures})


if __name__ == "__main__":
    main()
