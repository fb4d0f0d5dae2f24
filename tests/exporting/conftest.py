"""Tiny networks as a file of every format, each written once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import BackboneConfig, EncoderConfig, SlotsConfig
from sparseinst.config.preprocess import ShortSideConfig
from sparseinst.exporting.exporter import Export, export_model
from sparseinst.exporting.formats import FORMATS
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.ops.deform import DeformableConv
from sparseinst.zoo.checkpoint import save_checkpoint
from tiny import tiny_seeds


class Exports:
    """Writes a network in a format, with its activation maps; again gives the same file."""

    def __init__(self, source: SparseInst | Path, factory: pytest.TempPathFactory) -> None:
        self.source, self.factory = source, factory
        self.done: dict[str, Export] = {}

    def __call__(self, name: str) -> Export:
        if name not in self.done:
            out = self.factory.mktemp(name) / f"tiny{FORMATS[name].suffix}"
            self.done[name] = export_model(self.source, out, export_format=name, activation=True)
        return self.done[name]


def network(deformable: tuple[int, ...] = ()) -> SparseInst:
    """A network whose answers differ from slot to slot and from image to image."""
    config = ModelConfig(
        classes=("disc", "größe"),
        preprocess=ShortSideConfig(short_px=64, long_px=96),
        backbone=BackboneConfig(name="test_resnet", deformable=deformable),
        encoder=EncoderConfig(channels=16),
        decoder=SlotsConfig(slots=6, groups=2, channels=16, convs=1, kernel_channels=8),
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = build_model(config).eval()
        torch.nn.init.normal_(model.decoder.classifier.bias)
        torch.nn.init.normal_(model.decoder.kernel.weight)
        for module in model.modules():
            if isinstance(module, DeformableConv):
                torch.nn.init.normal_(module.offset.bias, std=2)
    return model


@pytest.fixture(scope="session")
def model() -> SparseInst:
    return network()


@pytest.fixture(scope="session")
def seeds() -> SparseInst:
    """A network of seeds, as many as the frame has room for."""
    model = tiny_seeds(candidates=900, candidates_per="area")
    preprocess = ShortSideConfig(short_px=64, long_px=96)
    model.config = model.config.model_copy(update={"preprocess": preprocess})
    return model


@pytest.fixture(scope="session")
def deformable() -> SparseInst:
    """The same with deformable stages."""
    return network((16, 32))


@pytest.fixture(scope="session")
def checkpoint(deformable: SparseInst, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(path, deformable)
    return path


@pytest.fixture(scope="session")
def exported(checkpoint: Path, tmp_path_factory) -> Exports:
    """Files of the network with deformable stages."""
    return Exports(checkpoint, tmp_path_factory)


@pytest.fixture(scope="session")
def exported_seeds(seeds: SparseInst, tmp_path_factory) -> Exports:
    """Files of the network of seeds."""
    return Exports(seeds, tmp_path_factory)


@pytest.fixture(scope="session")
def pictures() -> list[NDArray[np.uint8]]:
    """Images of odd sizes; the last is so narrow that its frame has a side of 32."""
    random = np.random.default_rng(0)
    sizes = [(64, 64), (50, 117), (240, 150), (61, 64), (300, 30)]
    return [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
