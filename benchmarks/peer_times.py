"""From a decoded image to encoded masks: our network by its runtimes and Mask R-CNN, in interleaved rounds."""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from peer_models import build_peer, detect, fold_peer
from peer_sets import OURS, PEER, SETS, PeerSettings, preset_for
from peer_steps import Figures
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchvision.models.detection import MaskRCNN

from sparseinst import Instances, Predictor, load_model
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.source import DataSource
from sparseinst.data.prepare import prepare
from sparseinst.files import atomic
from sparseinst.recipe import Preset
from sparseinst.runtime.backends import open_backend
from sparseinst.runtime.cache import can_convert

ROUNDS, WARM_UP_ROUNDS = 10, 2
THREADS = (1, 2)

Way = Callable[[NDArray[np.uint8]], Instances]


def weights_of(folder: Path, contestant: str, seed: int) -> Path:
    """Where a contestant's trained weights are kept."""
    return folder / f"{contestant}-{seed}.safetensors"


def save_peer(path: Path, peer: MaskRCNN, settings: PeerSettings, score: float) -> None:
    """Keeps weights, settings and the score at which F1 was highest: like our networks, it shows what reaches that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        tensors = {key: value.contiguous() for key, value in peer.state_dict().items()}
        save_file(tensors, temporary, metadata={"score": str(score), "settings": json.dumps(asdict(settings))})


def load_peer(path: Path, preset: Preset) -> MaskRCNN:
    """The peer as it predicts: batch norms folded, channels last, and nothing below its best score carried along."""
    with safe_open(path, framework="pt") as file:
        facts = file.metadata()
    settings = json.loads(facts["settings"])
    peer = build_peer(preset, None, **{name: settings[name] for name in ("channels", "rois", "anchors_px")})
    peer.load_state_dict(load_file(path))
    peer.roi_heads.score_thresh = float(facts["score"])
    return fold_peer(peer)


def paired_times(name: str, source: DataSource, folder: Path, seed: int) -> Figures:
    """Medians of interleaved rounds, for two image sizes and one and two threads.

    Args:
        name: of the data set.
        source: where its images are.
        folder: of the weights of both contestants.
        seed: whose weights.
    """
    preset, network = preset_for(name, source, seed), load_model(weights_of(folder, OURS, seed))
    peer, before = load_peer(weights_of(folder, PEER, seed), preset), torch.get_num_threads()
    preprocess = preset.model.preprocess
    scores = {OURS: network.config.postprocess.score, PEER: peer.roi_heads.score_thresh}
    result: Figures = {"seed": seed, "scores_shown_from": scores, "rounds": ROUNDS}
    for threads in THREADS:
        torch.set_num_threads(threads)
        ways: dict[str, Way] = {f"{OURS}, torch": Predictor(network)}
        if can_convert():
            ways[f"{OURS}, onnxruntime"] = Predictor(open_backend(network, name="onnxruntime", threads=threads))
        ways[PEER] = lambda image: detect(peer, prepare(image, preprocess))
        for size in SETS[name].sizes_hw:
            key = f"{size[0]}x{size[1]}, {threads} thread{'s' * (threads > 1)}"
            result[key] = interleaved(ways, image_of(size, source))
            print(key, result[key], flush=True)
    torch.set_num_threads(before)
    return result


def interleaved(ways: dict[str, Way], image: NDArray[np.uint8]) -> Figures:
    """Median wall and processor time of each way, taken in turn, and how many instances it found."""
    clocks: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    found: dict[str, int] = {}
    for _ in range(WARM_UP_ROUNDS + ROUNDS):
        for name, way in ways.items():
            wall, processor = time.perf_counter(), time.process_time()
            found[name] = len(way(image))
            spent = time.perf_counter() - wall, time.process_time() - processor
            clocks[name].append((1000 * spent[0], 1000 * spent[1]))
    return {
        name: {
            "wall_ms": round(statistics.median(wall for wall, _ in times[WARM_UP_ROUNDS:]), 1),
            "cpu_ms": round(statistics.median(cpu for _, cpu in times[WARM_UP_ROUNDS:]), 1),
            "instances": found[name],
        }
        for name, times in clocks.items()
    }


def image_of(size_hw: tuple[int, int], source: DataSource) -> NDArray[np.uint8]:
    """The first validation image of this size; where there is none, the first of all brought to it."""
    assert source.val is not None
    dataset = CocoDataset.load(source.val.images, source.val.annotations)
    same = [index for index in range(len(dataset)) if dataset.size_hw(index) == size_hw]
    image = dataset.picture(same[0] if same else 0)
    return image if same else cv2.resize(image, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
