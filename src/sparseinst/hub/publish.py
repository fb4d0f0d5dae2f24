"""From a network to a repository on the Hugging Face Hub: its checkpoint, its card and a picture, in one commit."""

import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import read_image, to_rgb8
from sparseinst.errors import InputError
from sparseinst.hub.card import model_card
from sparseinst.hub.metrics import given_metrics
from sparseinst.modeling.model import SparseInst
from sparseinst.version import __version__
from sparseinst.zoo.checkpoint import save_checkpoint
from sparseinst.zoo.conversion import convert
from sparseinst.zoo.download import FILE, check_repo, failures, one_line, status
from sparseinst.zoo.header import checkpoint_extra
from sparseinst.zoo.models import load_model, weights_file
from sparseinst.zoo.names import PICKLED, shipped_weights

CARD = "README.md"
PICTURE = "picture.png"


def push_to_hub(
    model: SparseInst | str | Path,
    repo: str,
    *,
    facts: Mapping[str, object] | None = None,
    metrics: Mapping[str, Any] | str | Path | None = None,
    measured_on: str | None = None,
    picture: str | Path | NDArray[np.generic] | None = None,
    limits: str | None = None,
    license: str = "mit",
    private: bool = False,
    message: str = "Add the network and its card",
    endpoint: str | None = None,
) -> str:
    """Puts a network on the Hub in one commit: its checkpoint, its card and a picture.

    A checkpoint goes there as it is, a published .pth in this package's form. The repository is made if it is not
    there; otherwise its card is replaced (what it was stays in the history).

    Args:
        model: a network, or the name or file of one.
        repo: "owner/name".
        facts: what is known about a network given as a module (see `save_checkpoint`); a file brings its own.
        metrics: figures of an evaluation (`Evaluation.to_json()`), or a JSON file of them; None takes those of the last
            evaluation of its training, if the checkpoint tells.
        measured_on: name of the images that the metrics were measured on; needed with metrics.
        picture: shown on the card: an image file or an image, best with instances drawn.
        limits: what the network is not good at, in Markdown.
        license: its identifier on the Hub.
        private: make the repository private.
        message: of the commit.
        endpoint: address of the Hub or a mirror of it; None takes HF_ENDPOINT, or the Hub itself.

    Returns:
        The address of the repository's page.

    Raises:
        InputError: no such model, metrics or picture, no right to write there, no network, or a repository that should
            be private is public.
    """
    check_repo(repo)
    metrics = given_metrics(metrics, measured_on)
    with tempfile.TemporaryDirectory() as folder:
        path, network = _checkpoint(model, facts, Path(folder))
        card = model_card(
            network.config, repo=repo, parameters=sum(p.numel() for p in network.parameters()),
            facts=checkpoint_extra(path), metrics=metrics, measured_on=measured_on, license=license, limits=limits,
            picture=None if picture is None else PICTURE,
        )  # fmt: skip
        files: dict[str, Path | bytes] = {FILE: path, CARD: card.encode()}
        if picture is not None:
            files[PICTURE] = _png(picture, network.config.preprocess.intensity)
        return _commit(repo, files, private=private, message=message, endpoint=endpoint)


def _checkpoint(
    model: SparseInst | str | Path, facts: Mapping[str, object] | None, folder: Path
) -> tuple[Path, SparseInst]:
    """A checkpoint of ours that surely loads, and its network."""
    if isinstance(model, SparseInst):
        save_checkpoint(folder / FILE, model, extra=facts)
        return folder / FILE, model
    if facts is not None:
        raise InputError(f"{model}: expected no facts with a file, which brings its own: leave them out")
    path = shipped_weights(str(model)) or weights_file(model)
    if path is None:
        raise InputError(
            f"model {str(model)!r}: expected a checkpoint (.safetensors, .pth), hf:owner/name or a preset whose "
            "weights ship: give one of these"
        )
    if path.suffix in PICKLED:
        return folder / FILE, convert(path, out=folder / FILE).model
    return path, load_model(path)


def _commit(repo: str, files: Mapping[str, Path | bytes], *, private: bool, message: str, endpoint: str | None) -> str:
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=endpoint, library_name="sparseinst", library_version=__version__)
    additions = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in files.items()]
    with _explained(repo):
        # None leaves an organisation its own default
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise InputError(
                f"{repo}: expected a private repository, but there is a public one of this name, and nothing was put "
                "into it: make it private on its page, or take another name"
            )
        api.create_commit(repo, additions, commit_message=message)
    return f"{api.endpoint}/{repo}"


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """Turns what the Hub refuses into an error that says what to do."""
    # ValueError: front matter that the Hub refuses, such as an unknown license
    refused: tuple[type[Exception], ...] = (*failures(), ValueError)
    try:
        yield
    except InputError:
        raise
    except refused as error:
        raise InputError(f"{repo}: {_why_not(repo, error)}") from error


def _why_not(repo: str, error: BaseException) -> str:
    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # it says only which file broke off
        error = error.__cause__
    if status(error) == 401:
        return "expected a login that may write, got none: run `hf auth login`, or set HF_TOKEN to a token for writing"
    if status(error) == 403:
        return (
            f"this login may not write there ({one_line(error)}): take a token for writing, or a name of your own "
            f"instead of {repo.partition('/')[0]}"
        )
    return f"could not be put on the Hub ({type(error).__name__}: {one_line(error)}): correct that and push again"


def _png(picture: str | Path | NDArray[np.generic], intensity: IntensityConfig) -> bytes:
    """An image as PNG, and of its file nothing but the pixels."""
    pixels = to_rgb8(picture, intensity) if isinstance(picture, np.ndarray) else read_image(picture, intensity)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", optimize=True)
    return content.getvalue()
