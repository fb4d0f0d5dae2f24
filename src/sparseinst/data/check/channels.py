"""How many channels the images of a data set have, and what training makes of that."""

from collections import Counter

from sparseinst.config.preprocess import RGB
from sparseinst.data.check.findings import Findings


def check_channels(
    channels: dict[str, dict[str, int]], found: dict[str, Findings]
) -> tuple[dict[str, set[str]], str | None]:
    """Notes the images that have other channels than most.

    Args:
        channels: for each part the number of channels of each image, by its name; 3 for grey ones and for colours.
        found: the findings of each part.

    Returns:
        The names of these images for each part, and one line on how many images have how many channels, and what
        training does with them; None where all are grey or in colours.
    """
    odd: dict[str, set[str]] = {part: set() for part in channels}
    counts = Counter(number for part in channels.values() for number in part.values())
    if not set(counts) - {RGB}:
        return odd, None
    (usual, images), *others = counts.most_common()
    if not others:
        return odd, (
            f"channels: {usual} in each of the {images} images; training takes them all (preprocess.channels={usual}, "
            "the first convolution of pretrained weights widened)"
        )
    for part, named in channels.items():
        for name, number in named.items():
            if number != usual:
                odd[part].add(name)
                found[part].add("other channels than most", name, f"{_words(number)}, most have {usual}")
    told = ", ".join(f"{images} with {_words(number)}" for number, images in counts.most_common())
    return odd, f"channels: images {told}: training stops, for a network takes one number (preprocess.channels)"


def _words(channels: int) -> str:
    return "grey or colours" if channels == RGB else f"{channels} channels"
