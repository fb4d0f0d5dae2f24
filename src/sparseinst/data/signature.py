"""How pictures say that this program wrote them, so that what a run writes is not what the next one reads."""

import re
import struct
import zlib
from pathlib import Path

OVERLAY, LABELS, IAM = "_overlay", "_labels", "_iam"
"""What the names of the pictures about an image end in."""

SIGNATURE = "sparseinst"
"""The name of the software that a picture states."""

_NAMES = re.compile(r".*_(overlay|labels|iam)\.(png|jpg|tif)|.*_labels\.ome\.(tif|zarr)|mask\d+\.tif")
_SIGNED_WITHIN = 1024
"""Bytes from the start of a file: PNG and JPEG are signed behind their first block, TIFF in its first directory, a zarr
folder in its attributes."""


def signed(content: bytes, suffix: str) -> bytes:
    """An encoded PNG (a tEXt chunk "Software") or JPEG file (a comment) with the signature.

    Raises:
        ValueError: another suffix than .png and .jpg.
    """
    if suffix == ".png":
        chunk = b"tEXtSoftware\0" + SIGNATURE.encode()
        block = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        place = 33  # behind the eight bytes of the format and the header, whose length is fixed
    elif suffix == ".jpg":
        comment = b"Software: " + SIGNATURE.encode()
        block = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
        place = 4 + struct.unpack(">H", content[4:6])[0]  # behind the header, which has to be the first
    else:
        raise ValueError(f"suffix: expected .png or .jpg, got {suffix}: write one of these")
    return content[:place] + block + content[place:]


def is_ours(path: Path) -> bool:
    """Whether this program wrote a picture: by its name, then by its signature, so that few files are opened."""
    if not _NAMES.fullmatch(path.name):
        return False
    try:
        with (path / ".zattrs" if path.suffix == ".zarr" else path).open("rb") as file:
            return SIGNATURE.encode() in file.read(_SIGNED_WITHIN)
    except OSError:
        return False  # reading it as an image says what is wrong
