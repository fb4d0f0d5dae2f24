"""How many spoiled annotations `sparseinst data errors` lists first: car parts, four kinds of mistakes.

    python benchmarks/data_errors.py ../shared/data/carparts --work /tmp/spoiled --minutes 4

Spoils a part of the training annotations, trains a network on the spoiled file, and looks for the mistakes with it:
what somebody has who knows of none of them.
"""

import argparse
import json
from pathlib import Path

from spoiling import spoil

PART, SEED = 0.05, 0
TOP = 0.1
"""Part of the list that is looked at, of the number of annotations."""


def prepare(data: Path, work: Path) -> None:
    """The spoiled training file beside its images."""
    work.mkdir(parents=True, exist_ok=True)
    content, mistakes = spoil(json.loads((data / "train.json").read_bytes()), part=PART, seed=SEED)
    (work / "train.json").write_text(json.dumps(content))
    told = [{**mistake._asdict(), "counts": mistake.counts.decode("ascii")} for mistake in mistakes]
    (work / "mistakes.json").write_text(json.dumps(told))
    (work / "data.yaml").write_text(
        f"name: carparts with mistakes\ntrain: {{images: {data.resolve() / 'train'}, annotations: train.json}}\n"
        f"val: {{images: {data.resolve() / 'val'}, annotations: {data.resolve() / 'val.json'}}}\n"
    )


def train_on(work: Path, minutes: float) -> None:
    from sparseinst.training import train

    train(
        work / "data.yaml", "lite", work / "run", minutes=minutes, workers=0, precision="bf16",
        settings={"augment.flip": 0}, device="cpu",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for spoiled annotations and the run")
    parser.add_argument("--minutes", type=float, default=4.0, help="of training; a run that is there is taken")
    options = parser.parse_args()
    if not (options.work / "mistakes.json").is_file():
        prepare(options.data, options.work)
    if not (options.work / "run" / "last.safetensors").is_file():
        train_on(options.work, options.minutes)


if __name__ == "__main__":
    main()
