"""What a page says of a network: what a service answers to `GET /v1/model`, and the model.json of a static site."""

from typing import TypedDict

from sparseinst.config.model import ModelConfig
from sparseinst.version import __version__

SAMPLE = "sample.png"
"""Address, beside the page, of a picture to try the shipped weights on: `zoo.names.DEMO_IMAGE`."""


class ModelFacts(TypedDict):
    """What a page needs to know of a network, as JSON."""

    name: str
    classes: list[str]
    """Class names by label."""
    score: float
    """Lowest score that is shown at first, 0..1."""
    note: str | None
    """What people have to know before they trust it; None: nothing."""
    sample: str | None
    """Address of a picture to try it on, relative to the page."""
    groups: int
    """Activation maps of an instance."""
    version: str
    """Version of this package."""


def model_facts(name: str, config: ModelConfig, *, shipped: bool, otherwise: str) -> ModelFacts:
    """What a page says of a network.

    Args:
        name: as people know it.
        config: its settings.
        shipped: whether these are the weights that come with the package.
        otherwise: the command that takes other weights, such as "sparseinst serve --model FILE".
    """
    known = ", ".join(config.classes)
    note = f"These weights come with the package and know only: {known}. For other objects: {otherwise}"
    return ModelFacts(
        name=name,
        classes=list(config.classes),
        score=config.postprocess.score,
        note=note if shipped else None,
        sample=SAMPLE if shipped else None,
        groups=config.decoder.groups,
        version=__version__,
    )
