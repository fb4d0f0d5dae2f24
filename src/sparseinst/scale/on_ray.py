"""The work on Ray Data: reading in tasks, decoding on CPU actors, the network on CPU or GPU actors."""

import logging
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparseinst.config.model import ModelConfig
from sparseinst.errors import InputError
from sparseinst.inference.pipeline import Pipeline
from sparseinst.predictions import Candidates
from sparseinst.scale.local import Left
from sparseinst.scale.reading import read_groups
from sparseinst.scale.settings import BatchSettings
from sparseinst.scale.worker import Collector, Written, decode, find, group_size

_NETWORK_CPUS, _DECODER_CPUS, _READER_CPUS = 0.5, 0.25, 0.1
"""Cores that Ray sets aside; these numbers only place actors, which all get room on a machine of one core."""
_DECODERS_PER_GPU = 8
_NETWORKS_PER_DECODER = 4

Columns = dict[str, Any]
"""A batch of Ray Data: of each column an array."""


@dataclass
class _Unrun:
    """Stands for the network where images are only brought to it."""

    config: ModelConfig
    frame: tuple[int, int] | None

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        raise RuntimeError("this process decodes images and has no network")


def work_on_ray(
    left: Left, settings: BatchSettings, folder: Path, identity: dict[str, Any], *, address: str, networks: int | None
) -> Iterator[Written]:
    """Does pieces on a cluster; rows come back to this process, which writes them.

    Args:
        left: pieces, each with the chunks that are done.
        settings: how to predict.
        folder: for the files of rows.
        identity: of the job.
        address: of the cluster; "local" begins one on this machine.
        networks: how many are run; None is one for each core or GPU.

    Raises:
        InputError: Ray is not installed, or there is no cluster.
    """
    ray = _connected(address)
    pipeline, collector = settings.open(), Collector(folder, identity)
    on_gpu = (settings.device or "cpu").startswith("cuda")
    resources = ray.cluster_resources()
    count = networks or int(max(1, resources.get("GPU" if on_gpu else "CPU", 1)))
    decoders = count * _DECODERS_PER_GPU if on_gpu else -(-count // _NETWORKS_PER_DECODER)
    unrun = _Unrun(pipeline.backend.config, pipeline.backend.frame)
    size = group_size(pipeline)
    del pipeline
    items = [{"job": pickle.dumps(one)} for one in left]
    groups = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _read, batch_size=1, num_cpus=_READER_CPUS, fn_kwargs={"rows": settings.rows, "size": size}
    )
    decoded = groups.map_batches(
        _Decode, batch_size=1, num_cpus=_DECODER_CPUS, compute=ray.data.ActorPoolStrategy(size=decoders),
        fn_constructor_kwargs={"unrun": unrun, "settings": settings},
    )  # fmt: skip
    found = decoded.map_batches(
        _Find, batch_size=1, num_cpus=_NETWORK_CPUS, num_gpus=1 if on_gpu else None,
        compute=ray.data.ActorPoolStrategy(size=count), fn_constructor_kwargs={"settings": settings},
    )  # fmt: skip
    for row in found.iter_rows():
        written = collector.add(pickle.loads(row["group"]))
        if written is not None:
            yield written


def _connected(address: str) -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError("--ray needs Ray Data: pip install 'sparseinst[ray]'") from error
    if not ray.is_initialized():
        try:
            ray.init(address=address, logging_level=logging.WARNING)
        except (ConnectionError, ValueError) as error:
            raise InputError(f"--ray {address}: expected local or the address of a cluster ({error})") from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray


def _read(batch: Columns, *, rows: int, size: int) -> Iterator[Columns]:
    for job in batch["job"]:
        piece, done = pickle.loads(job)
        for group in read_groups(piece, rows=rows, size=size, done=done):
            yield {"group": [pickle.dumps(group)]}


class _Decode:
    """An actor that decodes and resizes."""

    def __init__(self, unrun: _Unrun, settings: BatchSettings) -> None:
        torch.set_num_threads(1)
        self.pipeline = Pipeline(
            unrun, batch=settings.batch, score=settings.score, tile=settings.tile, overlap=settings.overlap,
            scale=settings.scale, diameter=settings.diameter,
        )  # fmt: skip

    def __call__(self, batch: Columns) -> Columns:
        """One group of files to one of tensors."""
        decoded = decode(self.pipeline, pickle.loads(batch["group"][0]))
        images = (  # tiles are cut as they are asked for, which another process cannot do
            image if image.cut is None else image._replace(cut=image.cut._replace(parts=tuple(image.cut.parts)))
            for image in decoded.images
        )
        return {"group": [pickle.dumps(decoded._replace(images=tuple(images)))]}


class _Find:
    """An actor that runs the network."""

    def __init__(self, settings: BatchSettings) -> None:
        torch.set_num_threads(settings.threads)
        self.pipeline = settings.open()

    def __call__(self, batch: Columns) -> Columns:
        """One group of tensors to one of rows."""
        return {"group": [pickle.dumps(find(self.pipeline, pickle.loads(batch["group"][0])))]}
