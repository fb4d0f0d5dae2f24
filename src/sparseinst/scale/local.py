"""The work in processes of this machine, or in this one."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch

from sparseinst.errors import InputError
from sparseinst.scale.pieces import Piece
from sparseinst.scale.settings import BatchSettings
from sparseinst.scale.worker import Collector, Written, work

Left = list[tuple[Piece, frozenset[int]]]
"""Pieces, each with the chunks that are done."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work_here(left: Left, settings: BatchSettings, folder: Path, identity: dict[str, Any]) -> Iterator[Written]:
    """Does pieces in this process, one after the other."""
    pipeline, collector = settings.open(), Collector(folder, identity)
    for piece, done in left:
        yield from work(pipeline, piece, collector, rows=settings.rows, done=done, decoders=settings.threads)


def work_in_processes(
    left: Left, settings: BatchSettings, folder: Path, identity: dict[str, Any], *, processes: int | None
) -> Iterator[Written]:
    """Does pieces in several processes, each of which takes the next when it has done one.

    Raises:
        InputError: one of them was ended, by the system for its memory or by somebody.
    """
    count = processes or (1 if (settings.device or "cpu").startswith(("cuda", "mps")) else cores())
    context = get_context("spawn")
    workers: dict[Connection, SpawnProcess] = {}
    waiting = iter(left)
    try:
        for _ in range(min(count, len(left))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, settings, folder, identity, count), daemon=True)
            process.start()
            theirs.close()
            workers[ours] = process
        yield from _directed(workers, waiting)
    finally:
        for connection, process in workers.items():
            connection.close()
            process.terminate()
        for process in workers.values():
            process.join()


def _directed(
    workers: dict[Connection, SpawnProcess], waiting: Iterator[tuple[Piece, frozenset[int]]]
) -> Iterator[Written]:
    """Gives out pieces and takes in what is told, until all is done."""
    busy = set(workers)
    while busy:
        for ready in wait(list(busy)):
            assert isinstance(ready, Connection)
            try:
                message = ready.recv()
            except EOFError:
                workers[ready].join()
                raise InputError(
                    f"a process was ended (exit code {workers[ready].exitcode}; -9 is how the system ends what takes "
                    "too much memory): look at what it said, or give fewer --processes; the same command goes on here"
                ) from None
            if isinstance(message, BaseException):
                raise message
            if message is not None:
                yield message
                continue
            following = next(waiting, None)
            if following is None:
                busy.discard(ready)
            else:
                ready.send(following)


def _serve(
    connection: Connection, settings: BatchSettings, folder: Path, identity: dict[str, Any], processes: int
) -> None:
    """The life of a process: says that it is free (None), gets a piece, tells of each file (`Written`), and again."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that began this one ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, BrokenPipeError):
        try:
            torch.set_num_threads(settings.threads)
            pipeline, collector = settings.open(), Collector(folder, identity)
            decoders = max(1, cores() // processes)
            while True:
                connection.send(None)
                piece, done = connection.recv()
                for written in work(pipeline, piece, collector, rows=settings.rows, done=done, decoders=decoders):
                    connection.send(written)
        except InputError as error:
            connection.send(error)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)  # nothing is lost: a file is whole, or not there
