"""HEIC and HEIF files, which Pillow reads with the help of pillow-heif (extra `heif`)."""

from pathlib import Path

from PIL import features

from sparseinst.errors import InputError

HEIF_SUFFIXES = (".heic", ".heif", ".hif")
HEIF = "HEIF"
"""Pillow's name of these, once pillow-heif is known to it."""


def know_heif(path: Path) -> None:
    """Makes Pillow able to open this file, if it is HEIC, HEIF or AVIF; others need nothing.

    Raises:
        InputError: what is needed is not installed; the message does not name the file.
    """
    suffix = path.suffix.lower()
    if suffix in HEIF_SUFFIXES:
        _register()
    if suffix == ".avif" and not features.check("avif"):
        raise InputError(
            "expected a Pillow that reads AVIF, found one that does not: pip install 'sparseinst[heif]' brings one"
        )


def _register() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(
            "expected pillow-heif for HEIC images, found none: pip install 'sparseinst[heif]', or convert them"
        ) from error
    pillow_heif.register_heif_opener()
