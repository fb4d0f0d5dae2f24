"""Augmentation by what the images are, for those who do not want to think of each change."""

from collections.abc import Mapping
from difflib import get_close_matches

from sparseinst.errors import InputError

AUGMENTATIONS: Mapping[str, Mapping[str, object]] = {
    # No side is up under a microscope, and stains and lamps differ.
    "micrographs": {
        "augment.flip": 0.5, "augment.vertical_flip": 0.5, "augment.quarter_turns": True, "augment.color": 0.2,
        "augment.photometric": 0.5,
    },
    # The ground is down, left and right are alike.
    "photos": {
        "augment.flip": 0.5, "augment.vertical_flip": 0.0, "augment.quarter_turns": False, "augment.color": 0.2,
        "augment.photometric": 0.0,
    },
    # No side is up from above, but colours mean something.
    "aerial": {
        "augment.flip": 0.5, "augment.vertical_flip": 0.5, "augment.quarter_turns": True, "augment.color": 0.2,
        "augment.photometric": 0.0,
    },
}  # fmt: skip
"""By name the settings that it stands for; scales, crops and frames stay those of the network's recipe."""


def augmentation(name: str) -> Mapping[str, object]:
    """The settings that a name stands for.

    Raises:
        InputError: there is none of this name.
    """
    if name not in AUGMENTATIONS:
        close = get_close_matches(name, AUGMENTATIONS, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]}?" if close else "take one of these, or set augment.* one by one"
        raise InputError(f"augment {name!r}: expected one of {', '.join(AUGMENTATIONS)}, got another name: {hint}")
    return AUGMENTATIONS[name]
