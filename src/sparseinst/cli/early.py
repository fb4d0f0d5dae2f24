"""What of a command is wrong and can be told at once, before PyTorch or a network is loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from sparseinst.errors import InputError, listed
from sparseinst.files import is_file, is_folder
from sparseinst.runtime.names import EXPLAINING, SUFFIXES, check_backend, is_exported
from sparseinst.zoo.download import HUB

if TYPE_CHECKING:
    from sparseinst.inference.options import PipelineOptions


def check_model(model: str | None, weights: Path | None = None) -> None:
    """Whether a model can be there: a preset of that name, or a file.

    Raises:
        InputError: there is none.
    """
    from sparseinst.zoo.names import PICKLED, load_preset

    files = (".safetensors", *PICKLED, *SUFFIXES)
    for path in (None if model is None else Path(model), weights):
        if path is not None and path.suffix in files and not str(path).startswith(HUB) and not is_file(path):
            raise InputError(f"{path}: expected a weights file or an exported network, found none: check the path")
    if model is not None and Path(model).suffix not in files and not model.startswith(HUB):
        load_preset(model)


def check_network(
    model: str | None,
    *,
    weights: Path | None = None,
    random_weights: bool = False,
    backend: str | None = None,
    score: float | None = None,
    classes: Sequence[str] | None = None,
    colours: str | None = None,
    **options: "Unpack[PipelineOptions]",
) -> None:
    """Whether a network can be there and do what is asked of it, as far as its settings are known without loading it.

    Args:
        model: a preset, a file, or hf:owner/name.
        weights: those of a preset.
        random_weights: whether there are to be none.
        backend: what runs it.
        score: the lowest to keep.
        classes: names to keep.
        colours: what it is for, where that knows pictures in grey and in colours alone.
        options: of prediction.

    Raises:
        InputError: there is no such model, backend or device, a value is out of range, or the network cannot do it.
    """
    from sparseinst.inference.options import check_options, colours_only, labels_of
    from sparseinst.zoo.header import known_config
    from sparseinst.zoo.names import check_ships

    check_options(None, score=score, **options)
    check_model(model, weights)
    if backend is not None:
        check_backend(backend)
    if model is None or is_exported(model):
        return
    if weights is None and not random_weights:
        check_ships(model)
    config = known_config(model, None if random_weights else weights)
    check_options(config, score=score, **options)
    if config is not None:
        labels_of(classes, config.classes)
        if colours is not None:
            colours_only(config, colours)


def check_explains(model: str, backend: str | None) -> None:
    """Whether activation maps can be had: of an exported file that is known once it is open.

    Raises:
        InputError: the backend would convert the network without them.
    """
    if backend is not None and backend not in EXPLAINING and not is_exported(model):
        raise InputError(
            f"backend {backend!r}: expected {' or '.join(EXPLAINING)} for activation maps, got another: leave the "
            "backend out, or export the network with its activation maps"
        )


def check_resume(resume: bool, *, save_json: bool, tables: bool) -> None:
    """Whether a run over images can go on.

    Raises:
        InputError: it keeps no lines of what was done, or writes files about cells, whose tables are of one run.
    """
    if resume and not save_json:
        raise InputError("--resume: expected --save-json, which keeps what was done: give it, too")
    if resume and tables:
        raise InputError("--resume: expected no files about cells (--measure and the like), got some: begin anew")


def check_source(source: str) -> None:
    """Whether what is named as a file or folder is there; addresses, cameras and patterns are looked at later.

    Raises:
        InputError: it is not.
    """
    from sparseinst.data.sources import IMAGE_SUFFIXES, find_sources
    from sparseinst.data.video.source import VIDEO_SUFFIXES, open_video

    if "://" not in source and Path(source).suffix.lower() in VIDEO_SUFFIXES and not is_file(source):
        open_video(source)  # says what was expected
    listed_or_image = Path(source).suffix.lower() in (*IMAGE_SUFFIXES, ".txt", "")
    if "://" in source or source.isdigit() or "%" in source or not listed_or_image:
        return
    if not is_folder(source):
        find_sources(source, stacks=True)


def check_paths(*paths: Path | None) -> None:
    """Whether files and folders that are to be read are there.

    Raises:
        InputError: one is not.
    """
    absent = [path for path in paths if path is not None and not path.exists()]
    if absent:
        raise InputError(f"{listed(absent)}: expected a file or folder, found nothing: check the path")
