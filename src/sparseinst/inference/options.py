"""What can be asked of prediction besides a network and images, and whether it makes sense: told without PyTorch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import SeedsConfig
from sparseinst.config.preprocess import RGB
from sparseinst.errors import InputError
from sparseinst.inference.scaling import at_scale, check_scale, checked_auto
from sparseinst.inference.tiling import Tiling
from sparseinst.modeling.budget import check_most
from sparseinst.runtime.names import check_device

if TYPE_CHECKING:
    import torch


class PipelineOptions(TypedDict, total=False):
    """How images are brought to a network and looked at: what everything that predicts takes besides the network.

    Attributes:
        device: where to run: "cpu", "cuda", "cuda:1", "mps", or "auto" (a CUDA GPU if there is one, else the CPU; a
            network given as a module stays where it is). A backend has chosen already.
        half: compute in 16 bits (a backend has chosen already).
        batch: images at once, 1 unless it is given.
        tile: side in pixels of the tiles that larger images are cut into and brought together from (see `merging`), for
            many or small objects; `batch` then counts tiles. None cuts what is too large for one pass at native scale
            (see `own_tiling`), 0 nothing.
        overlap: pixels that neighbouring tiles share at least, about the size of most objects; None is a quarter tile.
        scale: network pixels for each pixel of the image, in place of that of a network at native scale.
        diameter: or that of most objects in pixels of the image, from which the scale follows (see `at_scale`); "auto"
            estimates it for each image in a first pass (see `estimated_diameter`).
        max_instances: most instances in an image (in a tile of one that is cut): a network of seeds looks for as many;
            of slots or an exported file, which hold no more than they do, the best are kept. None is what the network's
            settings say. `Instances.full` tells where all places were taken.
    """

    device: "str | torch.device | None"
    half: bool
    batch: int
    tile: int | None
    overlap: int | None
    scale: float | None
    diameter: float | Literal["auto"] | None
    max_instances: int | None


def check_options(
    config: ModelConfig | None, *, score: float | None = None, **options: Unpack[PipelineOptions]
) -> None:
    """Checks what was asked for, before a network is loaded.

    Args:
        config: settings of the network; None where they are not known yet, and only ranges are checked.
        score: lowest score to keep.
        **options: what was asked for.

    Raises:
        InputError: a value is out of range, two do not go together, or the network cannot do it.
    """
    batch, most = options.get("batch", 1), options.get("max_instances")
    scale, diameter = options.get("scale"), options.get("diameter")
    check_device(str(options.get("device") or "auto"))
    if batch < 1:
        raise InputError(f"batch must be at least 1, got {batch}: give the number of images at once")
    check_score(score)
    check_most(most)
    Tiling.of(options.get("tile") or None, options.get("overlap"))
    check_scale(scale, diameter)
    if config is None:
        return
    at_scale(config.preprocess, scale=scale, diameter=None if diameter == "auto" else diameter)
    checked_auto(diameter, scale, config.preprocess)
    if most is not None and not isinstance(config.decoder, SeedsConfig):
        check_places(config, most)


def check_score(score: float | None) -> None:
    """Checks a lowest score.

    Raises:
        InputError: it is not in 0..1.
    """
    if score is not None and not 0 <= score <= 1:
        raise InputError(f"score must be in 0..1, got {score}: give the lowest score to keep")


def check_places(config: ModelConfig, most: int) -> None:
    """Checks that what cannot find more than it was made for is not asked to.

    Raises:
        InputError: it is.
    """
    has = config.most_instances
    if has is None or most <= has:
        return
    seeds = isinstance(config.decoder, SeedsConfig)
    advice = (
        "export it with a larger max_instances, or give the network itself"
        if seeds
        else "its slots are as many, so look at parts of the image (tile)"
    )
    raise InputError(f"max_instances: expected at most {has}, which is what the network can find, got {most}: {advice}")


def labels_of(names: Sequence[str] | None, known: Sequence[str]) -> NDArray[np.int64] | None:
    """(k,) labels of class names; None of None.

    Raises:
        InputError: a name that is not known, or none at all.
    """
    if names is None:
        return None
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InputError(
            f"classes: expected names that the model knows, got {', '.join(map(repr, unknown)) or 'none'}; "
            f"it knows: {', '.join(known)}"
        )
    return np.array([known.index(name) for name in names], np.int64)


def colours_only(config: ModelConfig, what: str) -> None:
    """Raises InputError where a network takes other channels than red, green and blue.

    Args:
        config: of the network.
        what: knows pictures in colours alone; begins the message.
    """
    channels = config.preprocess.channels
    if channels != RGB:
        raise InputError(
            f"{what}: expected a network of pictures in grey or colours, which is all that there are here, got one of "
            f"{channels} channels (preprocess.channels): give its images as files to predict or evaluate"
        )
