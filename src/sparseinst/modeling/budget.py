"""How many instances a network may be asked for, told without PyTorch."""

from sparseinst.config.network import DecoderConfig, SeedsConfig
from sparseinst.errors import InputError


def check_most(most: int | None) -> None:
    """Checks a number of instances.

    Raises:
        InputError: it is below 1.
    """
    if most is not None and most < 1:
        raise InputError(f"max_instances must be at least 1, got {most}: give the most instances in an image")


def check_budget(decoder: DecoderConfig, most: int) -> None:
    """Checks that a network can be made to look for so many instances.

    Raises:
        InputError: less than 1, or a network of slots, whose number is learned.
    """
    check_most(most)
    if not isinstance(decoder, SeedsConfig):
        raise InputError(
            f"max_instances {most}: expected a network of seeds, got one that has learned {decoder.slots} slots: "
            "leave it out; prediction may keep fewer, and tiles find more"
        )
