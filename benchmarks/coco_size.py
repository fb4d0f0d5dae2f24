"""A data set of COCO's size: how long its annotations take to open, and in how much memory; pycocotools beside it.

python benchmarks/coco_size.py [--images 118000] [--workers 4]

The file has COCO's statistics: 7.3 instances an image of 80 classes, 1.2 polygons an instance of 23 corners on average
with two decimals, one in a hundred a crowd. Images are empty files of the right names.
Each opening is a process of its own, with loader processes that each read some of the masks. Memory is what all of them
hold together at the most, with all that Python and PyTorch need: `memory_mb` what nobody else can use, `with_files_mb`
(PSS) with the parts of files that are mapped, the annotation file among them, which the system takes back at will.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from record import write_result

INSTANCES, CLASSES, POLYGONS, CORNERS = 7.3, 80, 1.2, 23
OPEN = """
import json, sys, time, threading, multiprocessing, resource
def held():
    import psutil
    here, sums = psutil.Process(), [0, 0]
    for one in [here, *here.children(recursive=True)]:
        for line in open(f"/proc/{one.pid}/smaps_rollup"):
            name, *values = line.split()
            sums[0] += int(values[0]) if name == "Pss_Anon:" else 0
            sums[1] += int(values[0]) if name == "Pss:" else 0
    return sums
highest, over = [0, 0], threading.Event()
def watch():
    global highest
    while not over.wait(0.5):
        try:
            highest = [max(pair) for pair in zip(highest, held())]
        except OSError:
            continue
def read(start):
    for index in range(start, len(opened), 997):
        masks_of(index)
    time.sleep(1)
way, annotations, images, workers = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
if way == "ours":
    from sparseinst.data.coco import CocoDataset
    threading.Thread(target=watch, daemon=True).start()
    began, used = time.perf_counter(), time.process_time()
    opened = CocoDataset.load(images, annotations)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    masks_of = opened.rles
    facts = {"images": len(opened), "instances": opened.instances}
else:
    from pycocotools.coco import COCO
    threading.Thread(target=watch, daemon=True).start()
    began, used = time.perf_counter(), time.process_time()
    coco = COCO(annotations)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    opened = list(coco.imgs)
    masks_of = lambda index: [coco.annToRLE(coco.anns[key]) for key in coco.getAnnIds(imgIds=[opened[index]])]
    facts = {"images": len(opened), "instances": sum(not ann["iscrowd"] for ann in coco.anns.values())}
processes = [multiprocessing.get_context("fork").Process(target=read, args=(start,)) for start in range(workers)]
for process in processes:
    process.start()
for process in processes:
    process.join()
over.set()
facts |= {"seconds": round(seconds, 2), "cpu_s": round(cpu, 2)}
facts |= {"memory_mb": highest[0] // 1024, "with_files_mb": highest[1] // 1024}
print(json.dumps(facts))
"""


def outline(random: np.random.Generator, count: int) -> list[list[float]]:
    """`count` closed outlines of COCO's sizes, in pixels of an image of 640 x 480."""
    found = []
    for radius in np.clip(np.exp(random.normal(3.2, 1.0, count)), 2, 220):
        corners = max(4, int(random.gamma(2.0, CORNERS / 2)))
        turn = np.sort(random.uniform(0, 2 * np.pi, corners))
        reach = radius * random.uniform(0.6, 1, corners)
        x, y = random.uniform((0, 0), (640, 480))
        points = np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], 1).clip(0, (640, 480))
        found.append(np.round(points, 2).ravel().tolist())
    return found


def write(folder: Path, images: int) -> Path:
    """The annotation file, and empty files for its images."""
    random = np.random.default_rng(0)
    pool = [json.dumps(one) for one in outline(random, 20_000)]
    path, places = folder / "train.json", folder / "train"
    places.mkdir()
    number = 0
    with path.open("w", encoding="utf-8") as file:
        file.write('{"info": {}, "licenses": [], "images": [')
        for image in range(images):
            name = f"{image:012d}.jpg"
            (places / name).touch()
            record = {
                "license": 3, "file_name": name, "coco_url": f"http://images.cocodataset.org/train2017/{name}",
                "height": 480, "width": 640, "date_captured": "2013-11-14 11:18:45", "flickr_url": "", "id": image,
            }  # fmt: skip
            file.write((", " if image else "") + json.dumps(record))
        file.write('], "annotations": [')
        for image in range(images):
            for _ in range(random.poisson(INSTANCES)):
                number += 1
                crowd = random.random() < 0.01
                parts = ", ".join(pool[i] for i in random.integers(len(pool), size=1 + random.poisson(POLYGONS - 1)))
                mask = '{"counts": [100000, 5000, 202200], "size": [480, 640]}' if crowd else f"[{parts}]"
                file.write(
                    f'{", " if number > 1 else ""}{{"segmentation": {mask}, "area": 702.1, "iscrowd": {int(crowd)}, '
                    f'"image_id": {image}, "bbox": [473.07, 395.93, 38.65, 28.67], '
                    f'"category_id": {random.integers(CLASSES) + 1}, "id": {number}}}'
                )
        categories = [{"supercategory": "thing", "id": i + 1, "name": f"class {i + 1}"} for i in range(CLASSES)]
        file.write(f'], "categories": {json.dumps(categories)}}}')
    return path


def opened(way: str, annotations: Path, workers: int) -> dict[str, Any]:
    """What opening the file takes in a process of its own."""
    arguments = [way, str(annotations), str(annotations.with_suffix("")), str(workers)]
    done = subprocess.run([sys.executable, "-c", OPEN, *arguments], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=118_000)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["SPARSEINST_CACHE"] = f"{name}/cache"
        annotations = write(Path(name), options.images)
        figures: dict[str, Any] = {"file_mb": round(annotations.stat().st_size / 2**20), "workers": options.workers}
        for title, way in (("first", "ours"), ("second", "ours"), ("pycocotools", "pycocotools")):
            figures[title] = opened(way, annotations, options.workers)
            print(title, figures[title], flush=True)
        print(write_result("coco_size", figures))


if __name__ == "__main__":
    main()
