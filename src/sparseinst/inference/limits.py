"""How many instances of an image are kept: of seeds a setting of prediction, otherwise the network's."""

from dataclasses import replace

import numpy as np

from sparseinst.config.network import DecoderConfig, SeedsConfig
from sparseinst.inference.options import check_places
from sparseinst.modeling.budget import check_most
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
    check_most(most)
    check_places(backend.config, most)
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
