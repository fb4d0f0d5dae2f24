"""The work itself, the same in every process and on every machine: decode, find, write."""

import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from sparseinst.data.heif import know_heif
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.stages import Stages
from sparseinst.inference.tiles import Cut
from sparseinst.scale.pieces import Piece
from sparseinst.scale.reading import Group, Item, read_groups, reason
from sparseinst.scale.rows import FAILED, FileFacts, Row, failed_row, row_of, write_rows

_LEAST_GROUP = 8
"""Images that are read together from a network, where batches are smaller."""


class Decoded(NamedTuple):
    """An image as the network takes it, or why it cannot be had."""

    image: str
    cut: Cut | None
    error: str | None
    seconds: float


class DecodedGroup(NamedTuple):
    """A group of images, decoded."""

    group: Group
    """Without the content of the images."""
    images: tuple[Decoded, ...]


class FoundGroup(NamedTuple):
    """The rows of a group of images."""

    group: Group
    rows: tuple[Row, ...]


class Written(NamedTuple):
    """A file of rows that has been written."""

    piece: int
    chunk: int
    facts: FileFacts


def group_size(pipeline: Pipeline) -> int:
    """Images that are predicted together: batches are made of these wherever the work is done."""
    return max(_LEAST_GROUP, pipeline.lookahead)


def decode(pipeline: Pipeline, group: Group, pool: ThreadPoolExecutor | None = None) -> DecodedGroup:
    """Decodes and resizes the images of a group, in the threads of a pool if there is one."""

    def one(item: Item) -> Decoded:
        return _decoded(pipeline, item)

    images = tuple(map(one, group.items) if pool is None else pool.map(one, group.items))
    return DecodedGroup(group._replace(items=()), images)


def _decoded(pipeline: Pipeline, item: Item) -> Decoded:
    start = time.perf_counter()
    cut, error = None, item.error
    if item.content is not None:
        try:
            know_heif(Path(item.image))
            cut = pipeline.cut(item.content)
        except Exception as failure:  # noqa: BLE001  no image stops the millions after it: its row tells
            error = reason(failure).removeprefix("image: ")
    return Decoded(item.image, cut, error, time.perf_counter() - start)


def find(pipeline: Pipeline, decoded: DecodedGroup) -> FoundGroup:
    """The rows of a group: what is found in its images, and why not in some."""
    start = time.perf_counter()
    cuts = [image.cut for image in decoded.images if image.cut is not None]
    found = iter(list(pipeline.found(cuts)))
    share = (time.perf_counter() - start) / max(1, len(cuts))
    rows = [
        failed_row(image.image, image.error or "", image.seconds)
        if image.cut is None
        else row_of(image.image, next(found), image.seconds + share)
        for image in decoded.images
    ]
    return FoundGroup(decoded.group, tuple(rows))


class Collector:
    """Brings the rows of groups together, in whatever order they come, and writes the files that are complete.

    Args:
        folder: of the files.
        identity: of the job, which every file names.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self._folder, self._identity = folder, identity
        self._open: dict[tuple[int, int], dict[int, FoundGroup]] = {}

    def add(self, found: FoundGroup) -> Written | None:
        """Takes the rows of a group; what was written, if its file is complete now."""
        key = (found.group.piece, found.group.chunk)
        groups = self._open.setdefault(key, {})
        groups[found.group.place] = found
        ending = groups[max(groups)].group
        if not ending.ends_chunk or len(groups) <= ending.place:
            return None
        del self._open[key]
        rows = [row for place in sorted(groups) for row in groups[place].rows]
        facts = FileFacts(
            self._identity, len(rows), sum(row.status == FAILED for row in rows),
            sum(len(row.instances) for row in rows), ending.extent, ending.last, ending.source, ending.row_group,
        )  # fmt: skip
        write_rows(self._folder / file_name(*key), rows, facts)
        return Written(*key, facts)


def file_name(piece: int, chunk: int) -> str:
    """What the file of a chunk is called."""
    return f"{piece:07d}-{chunk:06d}.parquet"


def chunk_of(name: str) -> tuple[int, int] | None:
    """Piece and chunk of a file of rows; None for another file.

    Example:
        >>> chunk_of("0000012-000003.parquet"), chunk_of("mine.parquet")
        ((12, 3), None)
    """
    piece, dash, chunk = name.removesuffix(".parquet").partition("-")
    return (int(piece), int(chunk)) if dash and piece.isdecimal() and chunk.isdecimal() else None


def work(
    pipeline: Pipeline, piece: Piece, collector: Collector, *, rows: int, done: frozenset[int], decoders: int
) -> Iterator[Written]:
    """Does a piece: reading, decoding and the network each have a thread, and work at once.

    Args:
        pipeline: finds instances.
        piece: what to do.
        collector: writes the rows.
        rows: images whose rows share a file.
        done: chunks that are there already.
        decoders: threads that decode.

    Returns:
        The files, as they are written.
    """
    with ThreadPoolExecutor(decoders) as pool:

        def decoded(groups: Iterator[Group]) -> Generator[DecodedGroup]:
            for group in groups:
                yield decode(pipeline, group, pool if decoders > 1 else None)

        groups = read_groups(piece, rows=rows, size=group_size(pipeline), done=done)
        with Stages[DecodedGroup](groups, decoded) as ready:
            for group in ready:
                written = collector.add(find(pipeline, group))
                if written is not None:
                    yield written
