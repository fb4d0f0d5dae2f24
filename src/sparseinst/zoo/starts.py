"""What a training starts from where it is told nothing: ImageNet weights of the backbone."""

from pathlib import Path

from sparseinst.config.model import ModelConfig
from sparseinst.errors import InputError
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.zoo.models import init_weights
from sparseinst.zoo.names import shipped_weights
from sparseinst.zoo.remote import timm_weights, unreachable


def shipped_start(backbone: str) -> Path | None:
    """The ImageNet weights of a backbone that come with the package, None if there are none.

    Args:
        backbone: its timm name, with or without the tag of its weights ("tf_efficientnet_lite0.in1k").
    """
    name, _, tag = backbone.partition(".")
    return shipped_weights(name) if tag in ("", "in1k") else None


def start_of(config: ModelConfig) -> str:
    """What `start_network` will start from, in words, found out within seconds and without fetching it.

    Raises:
        InputError: timm's weights are needed, are not on this machine, and cannot be fetched now.
    """
    name = config.backbone.name
    if shipped_start(name) is not None:
        return f"ImageNet weights of {name} that ship with the package, the rest fresh"
    found = timm_weights(name)
    if found.here or found.address is None:
        return f"timm's weights in backbone {name}, the rest fresh"
    problem = unreachable(found.address)
    if problem is not None:
        raise InputError(
            f"backbone {name!r}: expected timm's weights on this machine or a network to fetch them ({found.address}), "
            f"found neither ({problem}): connect once, give weights with --init FILE, start from fresh ones with "
            "--init random, or take --model lite, whose weights ship"
        )
    return f"timm's weights in backbone {name}, fetched now from {found.address}, the rest fresh"


def start_network(config: ModelConfig) -> tuple[SparseInst, str]:
    """A network with ImageNet weights in its backbone, and a line that says which.

    They are those that come with the package, else timm's, which it downloads.

    Raises:
        InputError: timm has no weights of this backbone, or they cannot be fetched.
    """
    name = config.backbone.name
    shipped = shipped_start(name)
    if shipped is not None:
        network = build_model(config)
        init_weights(network, shipped)
        return network, f"ImageNet weights of {name} that ship with the package, the rest fresh"
    try:
        return build_model(config, pretrained=True), f"timm's weights in backbone {name}, the rest fresh"
    except RuntimeError as error:
        raise InputError(
            f"backbone {name!r}: timm has no weights for it ({error}); give some with --init FILE, start from fresh "
            "ones with --init random, or choose another backbone with --set backbone.name=NAME"
        ) from error
