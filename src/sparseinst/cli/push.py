"""`sparseinst push`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparseinst.cli.early import check_model, check_paths
from sparseinst.cli.telling import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def push(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A .safetensors file, a published .pth, hf:owner/name, or a preset whose weights ship.",
        ),
    ],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository; made if it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="Show on the card what the network finds in this image.")
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Figures for the card, as `sparseinst evaluate --json` writes them."),
    ] = None,
    measured_on: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the images that the metrics were measured on.")
    ] = None,
    limits: Annotated[str | None, typer.Option(metavar="TEXT", help="What the network is not good at.")] = None,
    license: Annotated[str, typer.Option(metavar="ID", help="License of the weights, as the Hub names it.")] = "mit",
) -> None:
    """Put a network on the Hugging Face Hub, with a card that tells what it is and how good it is.

    Log in first with `hf auth login`. Afterwards it loads by name: --model hf:OWNER/NAME.
    """
    from sparseinst.hub.metrics import given_metrics
    from sparseinst.zoo.download import check_repo

    check_model(model)
    check_repo(repo)
    check_paths(picture)
    given_metrics(metrics, measured_on)
    from sparseinst.hub.publish import push_to_hub

    drawn = None if picture is None else _draw(model, picture)
    url = push_to_hub(
        model, repo, metrics=metrics, measured_on=measured_on, picture=drawn, limits=limits, license=license,
        private=private,
    )  # fmt: skip
    say(f"pushed: {url}")
    say(f"try it: sparseinst predict IMAGE --model hf:{repo}")


def _draw(model: str, picture: Path) -> "NDArray[np.uint8]":
    """What the network finds in an image, drawn over it."""
    from sparseinst.drawing.instances import draw, legible_scale
    from sparseinst.inference.predictor import Predictor

    predictor = Predictor(model)
    image = predictor.pipeline.read(picture)
    instances = predictor(image)
    return draw(image, instances, predictor.classes, scale=legible_scale(instances.size_hw))
