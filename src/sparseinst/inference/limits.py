"""What is wanted of a network: how many instances of an image (a setting of prediction for seeds, otherwise the
network's), of which classes, and of which kind of images.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sparseinst.config import RGB, DecoderConfig, ModelConfig, SeedsConfig
from sparseinst.errors import InputError
from sparseinst.runtime.backends import Backend
from sparseinst.runtime.torch_backend import EagerBackend
from sparseinst.structures import Instances


def at_most(backend: Backend, most: int) -> Backend:
    """What finds up to this many instances in an image, or more of which the best have to be kept (see `limited`).

    Raises:
        InputError: less than 1, or more than the backend can find in any image.
    """
    decoder = backend.config.decoder
    if isinstance(backend, EagerBackend) and isinstance(decoder, SeedsConfig):
        return backend.with_max_instances(most)
    if most < 1:
        raise InputError(f"max_instances must be at least 1, got {most}: give the most instances in an image")
    has = backend.config.most_instances
    if has is not None and most > has:
        advice = (
            "export it with a larger max_instances, or give the network itself" if isinstance(decoder, SeedsConfig) else
            "its slots are as many, so look at parts of the image (tile)"
        )  # fmt: skip
        raise InputError(
            f"max_instances: expected at most {has}, which is what the network can find, got {most}: {advice}"
        )
    return backend


def limited(instances: Instances, decoder: DecoderConfig, frame_hw: tuple[int, int], most: int | None) -> Instances:
    """The best by score of the instances of an image, in their order, and whether they are all that could be found.

    Args:
        instances: all that passed the thresholds, also without a pixel.
        decoder: of the network.
        frame_hw: padded frame of the image.
        most: how many; None keeps all.
    """
    places = decoder.most_instances(frame_hw)
    if most is not None and len(instances) > most:
        instances = instances[np.sort(np.argsort(-instances.scores, kind="stable")[:most])]
    return replace(instances, full=len(instances) >= min(places, most or places))


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
