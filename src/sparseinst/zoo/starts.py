"""What a training starts from where it is told nothing: ImageNet weights of the backbone."""

from pathlib import Path

from sparseinst.config import ModelConfig
from sparseinst.errors import InputError
from sparseinst.modeling import SparseInst, build_model
from sparseinst.zoo.models import init_weights
from sparseinst.zoo.names import shipped_weights


def shipped_start(backbone: str) -> Path | None:
    """The ImageNet weights of a backbone that come with the package, None if there are none.

    Args:
        backbone: its timm name, with or without the tag of its weights ("tf_efficientnet_lite0.in1k").
    """
    name, _, tag = backbone.partition(".")
    return shipped_weights(name) if tag in ("", "in1k") else None


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
