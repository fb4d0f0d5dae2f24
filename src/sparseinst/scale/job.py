"""A batch job: what there is to do, what is done already, who does the rest, and how far it is."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparseinst.disk import check_room
from sparseinst.errors import InputError
from sparseinst.files import atomic
from sparseinst.parsing import read_json
from sparseinst.scale.listing import Listing, list_input
from sparseinst.scale.local import work_here, work_in_processes
from sparseinst.scale.pieces import Piece, cut_input, pieces_of_shard
from sparseinst.scale.results import JOB, ROWS
from sparseinst.scale.rows import read_facts
from sparseinst.scale.settings import BatchSettings, refuse_changes
from sparseinst.scale.worker import Written, chunk_of


@dataclass
class Progress:
    """How far a job is.

    Args:
        extent: of all its pieces, in images; of tar files in bytes.
        already: images that earlier calls did.
        images: images done by this call.
        failed: images without a result, those of earlier calls included.
        instances: instances found, those of earlier calls included.
        seconds: since this call began to work.
    """

    extent: int
    already: int = 0
    images: int = 0
    failed: int = 0
    instances: int = 0
    seconds: float = 0.0
    _reached: dict[int, int] = field(default_factory=dict, repr=False)
    _before: float = 0.0
    _begun: float = field(default_factory=time.perf_counter, repr=False)

    @property
    def share(self) -> float:
        """How much of the whole is done, 0..1."""
        return min(1.0, sum(self._reached.values()) / max(1, self.extent))

    @property
    def rate(self) -> float:
        """Images a second in this call."""
        return self.images / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None as long as nothing is known."""
        gained = self.share - self._before
        return self.seconds * (1 - self.share) / gained if gained > 0 else None

    def add(self, written: Written, *, earlier: bool = False) -> None:
        """Counts a file of rows."""
        facts = written.facts
        self.failed += facts.failed
        self.instances += facts.instances
        self._reached[written.piece] = max(self._reached.get(written.piece, 0), facts.extent)
        if earlier:
            self.already += facts.images
            self._before = self.share
            self._begun = time.perf_counter()
            return
        self.images += facts.images
        self.seconds = time.perf_counter() - self._begun


@dataclass(frozen=True)
class Plan:
    """What a call has to do.

    Args:
        listing: the input.
        pieces: those of this shard.
        identity: of the job.
        written: files of rows that are there already.
    """

    listing: Listing
    pieces: list[Piece]
    identity: dict[str, Any]
    written: list[Written]

    @property
    def left(self) -> Iterator[tuple[Piece, frozenset[int]]]:
        """The pieces of which something is left to do, each with the chunks that are done."""
        chunks: dict[int, set[int]] = defaultdict(set)
        lasts: dict[int, int] = {}
        for number, chunk, facts in self.written:
            chunks[number].add(chunk)
            if facts.last:
                lasts[number] = chunk
        for piece in self.pieces:
            done = chunks.get(piece.number, set())
            if len(done) != lasts.get(piece.number, -1) + 1 or not done:
                yield piece, frozenset(done)

    def progress(self) -> Progress:
        """Where a call begins."""
        progress = Progress(sum(piece.extent for piece in self.pieces))
        for written in self.written:
            progress.add(written, earlier=True)
        return progress


def plan_batch(source: str, out: str | Path, settings: BatchSettings, *, shard: tuple[int, int] = (0, 1)) -> Plan:
    """What a call has to do; nothing is written.

    Raises:
        InputError: no such input, model or shard, or the folder holds the result of another job.
    """
    out = Path(out)
    listing = list_input(source, out=out)
    pieces = cut_input(listing, rows=settings.rows, limit=settings.limit, column=settings.column)
    identity = settings.identity() | {"input": listing.identity()}
    job = out / JOB
    if job.is_file():
        refuse_changes(read_json(job, expected="what a batch job was begun with"), identity, out)
    chosen = pieces_of_shard(pieces, shard)
    return Plan(listing, chosen, identity, list(_written(out / ROWS, {piece.number for piece in chosen}, identity)))


def run_batch(
    source: str,
    out: str | Path,
    settings: BatchSettings,
    *,
    shard: tuple[int, int] = (0, 1),
    processes: int | None = None,
    ray: str | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> Progress:
    """Finds instances in many images and keeps them as rows; what an earlier call did is not done again.

    Args:
        source: the images (see `list_input`).
        out: folder for `rows/*.parquet` (see `rows.SCHEMA`) and `job.json`.
        settings: how to predict.
        shard: (i, n): this call does the i-th of n parts, from 0; the others are for other machines, with the same
            `out` or one of their own.
        processes: how many work at once on this machine; 0 works in this process. None is one for each core, and one
            where there is a GPU. With Ray, how many networks are run; None is one for each core or GPU of the cluster.
        ray: work on Ray Data: "local" begins one on this machine, any other text is the address of a cluster.
        on_progress: is told after each file of rows.

    Returns:
        What has been done.

    Raises:
        InputError: no such images, model or setting; another job was begun in `out`; a process was ended by the
            system. What has been written stays, and the same call goes on.
    """
    out = Path(out)
    plan = plan_batch(source, out, settings, shard=shard)
    progress = plan.progress()
    left = list(plan.left)
    if not left:
        return progress
    _begin(out, plan)
    engine = _engine(plan.listing, processes, ray)
    for written in engine(left, settings, out / ROWS, plan.identity):
        progress.add(written)
        if on_progress is not None:
            on_progress(progress)
    return progress


Engine = Callable[[list[tuple[Piece, frozenset[int]]], BatchSettings, Path, dict[str, Any]], Iterator[Written]]
"""Does pieces, each without the chunks that are done, and tells of each file it has written."""


def _engine(listing: Listing, processes: int | None, ray: str | None) -> Engine:
    if listing.root.startswith("memory://") and (ray is not None or processes != 0):
        raise InputError(f"{listing.root}: expected files that other processes see, too: give 0 processes")
    if ray is not None:
        from sparseinst.scale.on_ray import work_on_ray

        return lambda *job: work_on_ray(*job, address=ray, networks=processes)
    if processes == 0:
        return work_here
    return lambda *job: work_in_processes(*job, processes=processes)


def _begin(out: Path, plan: Plan) -> None:
    """Makes the folder, and takes away what a call that was killed has left half written."""
    rows = out / ROWS
    check_room(rows, option="out")
    own = {piece.number for piece in plan.pieces}
    for path in rows.glob(".*.tmp.parquet"):
        place = chunk_of(path.name[1:].split(".")[0])
        if place is not None and place[0] in own:
            path.unlink(missing_ok=True)
    if not (out / JOB).is_file():
        with atomic(out / JOB) as temporary:
            temporary.write_text(json.dumps(plan.identity, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _written(rows: Path, own: Iterable[int], identity: dict[str, Any]) -> Iterator[Written]:
    """The files of rows that are there of some pieces."""
    wanted = set(own)
    for path in sorted(rows.glob("*.parquet")):
        place = chunk_of(path.name)
        if place is None or place[0] not in wanted:
            continue
        facts = read_facts(path)
        refuse_changes(facts.identity, identity, path)
        yield Written(*place, facts)
