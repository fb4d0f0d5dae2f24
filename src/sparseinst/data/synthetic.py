"""Synthetic data sets: cut-out objects pasted over backgrounds, with exact masks of what is seen, as COCO.

The objects themselves, not only the scenes, are split: what a network is validated with it has never seen.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from sparseinst.data.synthetic_backgrounds import background
from sparseinst.data.synthetic_cutouts import Cutout, find_cutouts, find_photographs, read_cutouts, split_files
from sparseinst.data.synthetic_scene import Scene, SceneConfig, compose
from sparseinst.errors import InputError
from sparseinst.files import at_home, atomic_folder
from sparseinst.masks import rle

_JPEG_QUALITY = 95
"""JPEG is written six times as fast as PNG at its fastest, and read as photographs are."""
_CHUNK = 16
"""Scenes that a process is given at once."""
_SPLITS = ("train", "val")


class Synthesis(NamedTuple):
    """What was made."""

    classes: tuple[str, ...]
    objects: dict[str, int]
    """Cut-outs of each split."""
    images: dict[str, int]
    """Scenes of each split."""
    instances: dict[str, int]
    """Annotations of each split."""


def synthesise(
    cutouts: str | Path,
    out: str | Path,
    *,
    count: int,
    val_count: int,
    scene: SceneConfig | None = None,
    classes: Sequence[str] | None = None,
    backgrounds: str | Path | None = None,
    seed: int = 0,
    workers: int = 0,
) -> Synthesis:
    """Makes a data set of synthetic scenes: OUT/train, OUT/train.json, OUT/val, OUT/val.json (see `resolve_data`).

    Every annotation names its cut-out in a field of its own, `cutout`. Seed, settings and files decide every scene,
    whatever the number of workers; the folder appears only when it is whole.

    Args:
        cutouts: folder with a folder of PNG or WebP files with alpha for each category, at least two objects each; a
            quarter of each category's objects is kept for validation.
        out: folder to make.
        count: training scenes.
        val_count: validation scenes.
        scene: how scenes are made up.
        classes: the categories to take; without it, all.
        backgrounds: folder of photographs, split like the objects; without it, backgrounds are made up.
        seed: decides the split and the scenes.
        workers: processes; 0 works in this one.

    Raises:
        InputError: nothing to paste, unreadable files, no scene asked for, or something is at `out` already.
    """
    if min(count, val_count) < 1:
        raise InputError(f"expected at least one scene to train on and to validate with, got {count} and {val_count}")
    scene = scene or SceneConfig()
    groups = {name: split_files(name, files, seed) for name, files in find_cutouts(at_home(cutouts), classes).items()}
    photographs: tuple[tuple[Path, ...], ...] = ((), ())
    if backgrounds is not None:
        photographs = split_files("", find_photographs(at_home(backgrounds)), seed)
    made = Synthesis(tuple(groups), {}, dict(zip(_SPLITS, (count, val_count), strict=True)), {})
    objects = [
        read_cutouts({group: halves[part] for group, halves in groups.items()}, scene.largest_px) for part in (0, 1)
    ]
    with atomic_folder(Path(out)) as folder:
        for part, name in enumerate(_SPLITS):
            (folder / name).mkdir()
            maker = _Maker(folder / name, scene, objects[part], photographs[part], (seed, part))
            made.objects[name] = sum(map(len, objects[part]))
            made.instances[name] = _write_annotations(
                folder / f"{name}.json", made.classes, maker, made.images[name], workers
            )
    return made


@dataclass(frozen=True)
class _Maker:
    """Makes scenes by their number alone."""

    folder: Path
    config: SceneConfig
    cutouts: tuple[tuple[Cutout, ...], ...]
    photographs: tuple[Path, ...]
    seeds: tuple[int, int]

    def make(self, number: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Writes a scene's picture; gives its image record and its annotations, without ids of their own."""
        random = np.random.default_rng([*self.seeds, number])
        behind = background(random, self.config.size_hw, self.photographs)
        made = compose(random, behind, self.cutouts, self.config)
        name = f"{number:06d}.jpg"
        _, data = cv2.imencode(".jpg", made.image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
        (self.folder / name).write_bytes(data.tobytes())
        height, width = self.config.size_hw
        return {"id": number + 1, "file_name": name, "height": height, "width": width}, _annotations(made, number + 1)


def _annotations(scene: Scene, image_id: int) -> list[dict[str, Any]]:
    size_hw = (scene.owner.shape[0], scene.owner.shape[1])
    counts = rle.encode(scene.owner == np.arange(1, len(scene.objects) + 1)[:, None, None])
    boxes = rle.boxes_xyxy(counts, size_hw)
    boxes[:, 2:] -= boxes[:, :2]
    return [
        {
            "image_id": image_id,
            "category_id": cutout.label + 1,
            "segmentation": {"size": list(size_hw), "counts": item.decode("ascii")},
            "area": area,
            "bbox": box,
            "iscrowd": 0,
            "cutout": cutout.name,
        }
        for cutout, item, area, box in zip(
            scene.objects, counts, rle.areas(counts, size_hw).tolist(), boxes.tolist(), strict=True
        )
    ]


def _write_annotations(path: Path, classes: Sequence[str], maker: _Maker, count: int, workers: int) -> int:
    """Makes the scenes and the annotation file beside them; gives the number of annotations."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with _scenes(maker, count, workers) as scenes:
        for image, found in scenes:
            images.append(image)
            annotations += [{"id": len(annotations) + i, **record} for i, record in enumerate(found, 1)]
    categories = [{"id": i, "name": name} for i, name in enumerate(classes, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content), encoding="utf-8")
    return len(annotations)


@contextmanager
def _scenes(maker: _Maker, count: int, workers: int) -> Iterator[Iterable[tuple[dict[str, Any], list[dict[str, Any]]]]]:
    """All scenes in order, made in this process or in others."""
    if workers == 0:
        yield map(maker.make, range(count))
        return
    with ProcessPoolExecutor(workers, initializer=partial(_start, maker)) as pool:
        yield pool.map(_make, range(count), chunksize=_CHUNK)


_MAKERS: list[_Maker] = []
"""The one of this worker process, sent once."""


def _start(maker: _Maker) -> None:
    cv2.setNumThreads(0)  # the processes are the parallelism
    _MAKERS.append(maker)


def _make(number: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return _MAKERS[-1].make(number)
