"""How long `sparseinst data synth` takes for 1,000 scenes of 320 x 320, and what one scene's parts cost.

python benchmarks/synthesis.py CUTOUTS [--count 1000] [--workers 2]

CUTOUTS is a folder as the command takes it (benchmarks/emoji_cutouts.py makes one). The parts are measured in this
process on one thread.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from record import write_result

from sparseinst.data.synthetic import synthesise
from sparseinst.data.synthetic_backgrounds import background
from sparseinst.data.synthetic_cutouts import find_cutouts, read_cutouts
from sparseinst.data.synthetic_scene import SceneConfig, compose
from sparseinst.masks import rle


def parts_milliseconds(cutouts: Path, config: SceneConfig, count: int) -> dict[str, float]:
    """Mean time of each part of a scene."""
    objects = read_cutouts(find_cutouts(cutouts), config.largest_px)
    names = ("background", "objects", "masks", "jpeg", "png")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(count):
        random = np.random.default_rng(number)
        clock = [time.perf_counter()]
        behind = background(random, config.size_hw)
        clock.append(time.perf_counter())
        scene = compose(random, behind, objects, config)
        clock.append(time.perf_counter())
        rle.encode(scene.owner == np.arange(1, len(scene.objects) + 1)[:, None, None])
        clock.append(time.perf_counter())
        cv2.imencode(".jpg", scene.image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 95))
        clock.append(time.perf_counter())
        cv2.imencode(".png", scene.image[..., ::-1], (cv2.IMWRITE_PNG_COMPRESSION, 1))
        clock.append(time.perf_counter())
        for name, start, end in zip(names, clock[:-1], clock[1:], strict=True):
            seconds[name].append(end - start)
    return {name: round(1000 * statistics.mean(values), 2) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cutouts", type=Path, help="folder of CATEGORY/FILE.png or .webp")
    parser.add_argument("--count", type=int, default=1000, help="scenes")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    config = SceneConfig()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        made = synthesise(
            options.cutouts, Path(folder) / "made", count=options.count, val_count=1, scene=config,
            workers=options.workers,
        )  # fmt: skip
        seconds = time.perf_counter() - start
    cv2.setNumThreads(0)
    figures = {
        "scenes": options.count,
        "size_hw": config.size_hw,
        "objects_low_high": config.objects,
        "instances": made.instances["train"],
        "classes": len(made.classes),
        "workers": options.workers,
        "seconds": round(seconds, 2),
        "scenes_per_second": round(options.count / seconds, 1),
        "parts_milliseconds_per_scene": parts_milliseconds(options.cutouts, config, min(200, options.count)),
    }
    print(write_result("synthesis", figures))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
