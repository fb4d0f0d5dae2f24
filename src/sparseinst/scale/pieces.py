"""Pieces: an input cut into parts that are worked on independently, always in the same way."""

from collections.abc import Iterator
from typing import NamedTuple

from sparseinst.errors import InputError
from sparseinst.scale.listing import Kind, Listing, file_system, location
from sparseinst.scale.tables import row_groups
from sparseinst.scale.tars import count_images


class Piece(NamedTuple):
    """A part of an input.

    Args:
        number: its place among all.
        kind: what its files hold.
        root: folder or URL that names are relative to.
        names: files of one image each; or the one file of many.
        row_group: of a Parquet file.
        extent: its share of the whole, in images; of tar files in bytes.
        most: how many of its images are taken; None is all.
        column: of a Parquet file, the one with the images; None looks for it.
    """

    number: int
    kind: Kind
    root: str
    names: tuple[str, ...]
    row_group: int | None
    extent: int
    most: int | None = None
    column: str | None = None


def cut_input(listing: Listing, *, rows: int, limit: int | None, column: str | None) -> list[Piece]:
    """The pieces of an input: so many images as rows share a file, a tar file, or a row group of a Parquet file.

    Args:
        listing: the input.
        rows: images whose rows share a file.
        limit: how many images to take; None is all.
        column: of Parquet files, the one with the images.
    """
    kinds = {"images": _of_images, "tar": _of_tars, "parquet": _of_tables}
    found: list[Piece] = []
    left = limit
    for piece in kinds[listing.kind](listing, rows, column):
        if left is None:
            found.append(piece)
            continue
        taken = min(_images_in(piece, left), left)
        found.append(_limited(piece, taken))
        left -= taken
        if not left:
            break
    return found


def _images_in(piece: Piece, most: int) -> int:
    if piece.kind == "tar":
        return count_images(*file_system(location(piece.root, piece.names[0])), most=most)
    return piece.extent


def _limited(piece: Piece, taken: int) -> Piece:
    if piece.kind == "images":
        return piece._replace(names=piece.names[:taken], extent=taken)
    return piece._replace(most=taken, extent=piece.extent if piece.kind == "tar" else taken)


def check_shard(shard: tuple[int, int]) -> None:
    """Checks a part's number and how many parts there are.

    Raises:
        InputError: there is no such shard.
    """
    number, of = shard
    if not 0 <= number < of:
        raise InputError(f"shard {number}/{of}: expected a number in 0..{of - 1} of {of}: count from 0")


def pieces_of_shard(pieces: list[Piece], shard: tuple[int, int]) -> list[Piece]:
    """Those of one machine of several.

    Raises:
        InputError: there is no such shard.
    """
    check_shard(shard)
    number, of = shard
    return [piece for piece in pieces if piece.number % of == number]


def _of_images(listing: Listing, rows: int, column: str | None) -> Iterator[Piece]:
    for number, start in enumerate(range(0, len(listing.names), rows)):
        names = tuple(listing.names.slice(start, rows).to_pylist())
        yield Piece(number, "images", listing.root, names, None, len(names))


def _of_tars(listing: Listing, rows: int, column: str | None) -> Iterator[Piece]:
    for number, name in enumerate(listing.names.to_pylist()):
        fs, path = file_system(location(listing.root, name))
        try:
            size = int(fs.size(path) or 0)
        except OSError:  # reading it tells what is wrong
            size = 0
        yield Piece(number, "tar", listing.root, (name,), None, max(size, 1))


def _of_tables(listing: Listing, rows: int, column: str | None) -> Iterator[Piece]:
    number = 0
    for name in listing.names.to_pylist():
        groups = row_groups(*file_system(location(listing.root, name)), column)
        for row_group, images in enumerate([1] if groups is None else groups):
            yield Piece(number, "parquet", listing.root, (name,), row_group, images, column=column)
            number += 1
