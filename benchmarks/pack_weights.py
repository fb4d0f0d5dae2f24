"""Turns the best checkpoint of a run into the file that ships with the package: float16, with its provenance.

python benchmarks/pack_weights.py runs/nuclei nuclei --note "data, licence" [--set postprocess.least_piece=0.1]
"""

import argparse
from pathlib import Path

from sparseinst import load_model
from sparseinst.recipe import Preset
from sparseinst.training.settings import apply_settings, parse_assignments
from sparseinst.zoo.checkpoint import save_checkpoint
from sparseinst.zoo.header import checkpoint_extra

WEIGHTS = Path(__file__).parents[1] / "src" / "sparseinst" / "zoo" / "weights"
LARGEST_MB = 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("name", help="preset that the weights belong to")
    parser.add_argument("--note", default="", help="what they were trained on and under which licence")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of prediction")
    parser.add_argument("--score", type=float, default=None, help="default score; without it, the checkpoint's own")
    options = parser.parse_args()
    best = options.run / "best.safetensors"
    extra = checkpoint_extra(best) | {"preset": options.name, "note": options.note}
    path = WEIGHTS / f"{options.name}.safetensors"
    model = load_model(best)
    if options.score is not None:
        post = model.config.postprocess.model_copy(update={"score": options.score})
        model.config = model.config.model_copy(update={"postprocess": post})
    changed = apply_settings(Preset(description="", model=model.config), parse_assignments(options.set))
    model.config = changed.model
    save_checkpoint(path, model, extra=extra, half=True)
    megabytes = path.stat().st_size / 1e6
    if megabytes > LARGEST_MB:
        path.unlink()
        raise SystemExit(f"{path}: {megabytes:.1f} MB is more than the {LARGEST_MB} MB a shipped file may have")
    print(f"{path}: {megabytes:.1f} MB")


if __name__ == "__main__":
    main()
