"""What a video costs beside its network: the whole of `predict` on a 720p file over the network alone, in pairs.

python benchmarks/video.py [MODELS ...] [--backend onnxruntime] [--device cpu] [--half] [--frames 60] [--rounds 5]
                           [--instances 10] [--photos DIR] [--name video]

The whole: decoding H.264, preparing, network, masks, drawing, encoding H.264. Alone: the same backend on the same
frames, prepared before. The video pans and zooms over photographs (without a folder of them, over the shipped picture).
Weights are random, so the instances are not the network's: masks like those of COCO's objects take their place.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from record import write_result
from torch import Tensor

from masks import coco_like
from sparseinst import Predictor, load_model
from sparseinst.config.model import ModelConfig
from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import read_image
from sparseinst.data.prepare import stack
from sparseinst.data.sources import list_sources
from sparseinst.data.video.source import open_video
from sparseinst.drawing.instances import draw_as
from sparseinst.predictions import Candidates
from sparseinst.runtime.backends import Backend, open_backend
from sparseinst.video.prediction import predict_video
from sparseinst.video.writer import write_video
from sparseinst.zoo.names import DEMO_IMAGE

MODELS = ("r50-giam", "n")
SIZE_HW = (720, 1280)
PHOTOS = 4
STRIDE = 4


class StandIn:
    """A backend that runs its network and answers with the same sure instances whatever it sees."""

    def __init__(self, backend: Backend, instances: int) -> None:
        self._backend, self._instances = backend, instances
        self.config: ModelConfig = backend.config
        self.frame = backend.frame
        self.device = getattr(backend, "device", torch.device("cpu"))
        self._masks: dict[tuple[int, int], Tensor] = {}

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """As of `Backend`."""
        found = self._backend(images, resized_hw)
        count, slots, height, width = found.masks.shape
        if (height, width) not in self._masks:
            inner = (int(resized_hw[0, 0]) // STRIDE, int(resized_hw[0, 1]) // STRIDE)
            masks = coco_like(self._instances, grid_hw=(height, width), image_hw=inner)
            self._masks[height, width] = masks.to(found.masks)
        sure = torch.zeros_like(found.scores)
        sure[:, : self._instances] = 0.9
        masks = torch.zeros_like(found.masks)
        masks[:, : self._instances] = self._masks[height, width]
        kinds = min(5, len(self.config.classes))
        labels = torch.arange(slots, device=sure.device).remainder(kinds).expand(count, slots)
        return Candidates(sure, labels, masks, sure)


def panned(photos: Sequence[Path], count: int) -> Iterator[NDArray[np.uint8]]:
    """Pictures that move over each of the photographs in turn, and closer."""
    images = [read_image(path, IntensityConfig()) for path in photos]
    height, width = SIZE_HW
    for number in range(count):
        index, share = divmod(number * len(images) / count, 1)
        image = images[int(index)]
        scale = max(height / image.shape[0], width / image.shape[1]) * (1.1 + 0.2 * share)
        spare = [scale * side - wanted for side, wanted in zip(image.shape[:2], SIZE_HW, strict=True)]
        move = np.array([[scale, 0, -share * spare[1] / 2], [0, scale, -share * spare[0] / 2]], np.float32)
        yield np.asarray(cv2.warpAffine(image, move, (width, height), flags=cv2.INTER_CUBIC), np.uint8)


def written(path: Path, photos: Sequence[Path], count: int) -> Path:
    """The video of them."""
    with closing(open_video(panned(photos, count))) as video, write_video(path, video) as writer:
        for frame in video:
            writer.write(frame.image, frame.time)
    return path


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall time of a call, the device's work included, and processor time."""
    start, processor = time.perf_counter(), time.process_time()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - processor


def percent(pair: tuple[float, float]) -> float:
    """By how much the second is more than the first."""
    return 100 * (pair[1] / pair[0] - 1)


def processor_ms(work: Callable[[], object], count: int) -> float:
    """Milliseconds of processor time for each of `count` frames."""
    start = time.process_time()
    work()
    return round(1000 * (time.process_time() - start) / count, 2)


def parts(predictor: Predictor, clip: Path, folder: Path) -> dict[str, float]:
    """Processor milliseconds a frame of each stage but the network, one after the other."""
    with closing(open_video(clip)) as video:
        start = time.process_time()
        frames = list(video)
        spent = {"decode": round(1000 * (time.process_time() - start) / len(frames), 2)}
    count = len(frames)
    spent["prepare"] = processor_ms(lambda: [predictor.pipeline.prepare(frame.image) for frame in frames], count)
    found = predictor(frames[0].image)
    texts = [f"{predictor.classes[label]} 0.90" for label in found.labels]
    draw_as(frames[0].image, found, texts, found.slots)  # loads fonts
    spent["draw"] = processor_ms(lambda: [draw_as(f.image, found, texts, found.slots) for f in frames], count)
    with closing(open_video(clip)) as video, write_video(folder / "parts.mp4", video) as writer:
        spent["encode"] = processor_ms(lambda: [writer.write(frame.image, frame.time) for frame in frames], count)
    return spent


def measure(name: str, options: argparse.Namespace, clip: Path, folder: Path) -> dict[str, Any]:
    """The cost for one network."""
    network = load_model(name, random_weights=True, device=options.device)
    backend = open_backend(network, name=options.backend, device=options.device, half=options.half)
    backend = StandIn(backend, options.instances)
    predictor = Predictor(backend)
    with closing(open_video(clip)) as video:
        prepared = [predictor.pipeline.prepare(frame.image) for frame in video]
    batches = [stack([item]) for item in prepared]

    def alone() -> None:
        for batch in batches:
            backend._backend(*batch)

    def whole() -> None:
        predict_video(clip, model=backend, save=folder / "out.mp4")

    pairs = [(seconds(alone), seconds(whole)) for _ in range(-1, options.rounds)][1:]
    wall, processor = ([(before[kind], after[kind]) for before, after in pairs] for kind in (0, 1))
    count = len(prepared)
    return {
        "frame_hw": prepared[0].frame.frame_hw,
        "network_fps": round(count / statistics.median(before for before, _ in wall), 2),
        "whole_fps": round(count / statistics.median(after for _, after in wall), 2),
        "cost_percent": round(statistics.median(map(percent, wall)), 1),
        "cost_percent_rounds": [round(percent(pair), 1) for pair in wall],
        "processor_cost_percent": round(statistics.median(map(percent, processor)), 1),
        "processor_ms_per_frame": parts(predictor, clip, folder),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--backend", help="as of `open_backend`; without it, torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--instances", type=int, default=10)
    parser.add_argument("--photos", type=Path, help="folder of photographs")
    parser.add_argument("--name", default="video", help="name of the result file")
    options = parser.parse_args()
    photos = [DEMO_IMAGE] if options.photos is None else list_sources(options.photos)[:PHOTOS]
    figures: dict[str, Any] = {
        "video_hw": SIZE_HW, "frames": options.frames, "instances": options.instances,
        "backend": options.backend or "torch", "half": options.half, "threads": torch.get_num_threads(), "models": {},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = written(folder / "clip.mp4", photos, options.frames)
        for model in options.models:
            figures["models"][model] = measure(model, options, clip, folder)
            print(model, json.dumps(figures["models"][model]), flush=True)
    print(write_result(options.name, figures))


if __name__ == "__main__":
    main()
