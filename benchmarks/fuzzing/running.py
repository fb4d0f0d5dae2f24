"""Cases in forked processes: a crash, a loop without end or a full memory costs one of them and is a finding."""

import contextlib
import json
import mmap
import os
import random
import resource
import signal
import struct
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fuzzing.mutation import mutated
from sparseinst.errors import InputError

CPU_S, WALL_S = 10.0, 120.0
"""Longest computing, and longest doing nothing, of a case."""
MOST_BYTES = 2**30
"""Memory that a case may take."""
LONGEST_MESSAGE = 1200
"""Characters of an error: some quoted values of 200 each, and words about them."""
_POLL_S = 0.1
_DATA_LIMIT = 2**33
_STATE = struct.Struct("<qqqq")
"""Number of the case at hand, results, refusals, findings."""


class Reader(NamedTuple):
    """What is tried.

    Args:
        read: reads what is in a folder; everything but a result and an InputError is a finding.
        damaged: patterns of the files that are damaged, one a case.
        share: of all cases, relative to that of other readers.
    """

    read: Callable[[Path], object]
    damaged: tuple[str, ...]
    share: float


class Finding(NamedTuple):
    """What went wrong in a case."""

    reader: str
    case: int
    what: str
    detail: str


class Outcome(NamedTuple):
    """What came of cases of a reader."""

    results: int
    refused: int
    findings: list[Finding]


class Damaged(NamedTuple):
    """What is tried in a case."""

    folder: Path
    file: Path
    whole: bytes
    content: bytes


class Seeds:
    """Folders of whole files, one of which is damaged for a case and put back after it.

    Args:
        corpus: the folder of these.
        patterns: of the files that are damaged.
        name: of the reader.
        seed: of all chance.
    """

    def __init__(self, corpus: Path, patterns: tuple[str, ...], name: str, seed: int) -> None:
        self._chance_of = f"{seed} {name}"
        self._folders = [
            sorted({file for pattern in patterns for file in folder.rglob(pattern) if file.is_file()})
            for folder in sorted(corpus.iterdir())
        ]
        self._parents = sorted(corpus.iterdir())
        self._whole = {file: file.read_bytes() for files in self._folders for file in files}
        self._alike: dict[str, list[bytes]] = {}
        for file, content in self._whole.items():
            self._alike.setdefault(file.suffix, []).append(content)

    def case(self, number: int) -> Damaged:
        """The same for the same number, every time."""
        chance = random.Random(f"{self._chance_of} {number}")
        place = chance.randrange(len(self._folders))
        file = chance.choice(self._folders[place])
        content = mutated(chance, file.name, self._whole[file], self._alike[file.suffix])
        return Damaged(self._parents[place], file, self._whole[file], content)

    def restore(self) -> None:
        """Puts all files back."""
        for file, content in self._whole.items():
            file.write_bytes(content)


def run_cases(name: str, reader: Reader, corpus: Path, *, seed: int, cases: range, keep: Path) -> Outcome:
    """Runs cases, in as many processes, one after the other, as it takes.

    Args:
        name: of the reader.
        reader: what is tried.
        corpus: folder whose folders are seeds.
        seed: of all chance.
        cases: their numbers.
        keep: folder for the damaged files of findings.
    """
    results = refused = 0
    findings: list[Finding] = []
    seeds, start = Seeds(corpus, reader.damaged, name, seed), cases.start
    while start < cases.stop:
        keep.mkdir(parents=True, exist_ok=True)
        told = keep / f".told.{os.getpid()}"
        told.unlink(missing_ok=True)
        state = mmap.mmap(-1, _STATE.size)
        child = os.fork()
        if not child:
            _work(name, reader, seeds, range(start, cases.stop), keep, told, state)
        ending = _watch(child, state)
        number, more_results, more_refused, _ = _STATE.unpack(state[:])
        results, refused = results + more_results, refused + more_refused
        if told.exists():
            findings += [Finding(*json.loads(line)) for line in told.read_text().splitlines()]
            told.unlink()
        if ending is not None:
            findings.append(Finding(name, number, ending, ""))
            seeds.restore()
            _write_case(name, seeds.case(number), number, keep)
        start = number + 1
    return Outcome(results, refused, findings)


def in_child(work: Callable[[], object]) -> None:
    """Does something in a process of its own, which leaves no threads or libraries behind in this one.

    Raises:
        RuntimeError: it failed.
    """
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:  # noqa: BLE001  told below
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("whole files could not be written")


def _watch(child: int, state: mmap.mmap) -> str | None:
    """Waits for a process; what ended it before its time."""
    before, seen, cpu, since = _memory(child), -1, 0.0, time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code < 0:
                return f"crash: {signal.Signals(-code).name}"
            return None if code == 0 else f"crash: exit code {code}"
        number = _STATE.unpack(state[:])[0]
        if number != seen:
            seen, cpu, since = number, _cpu_s(child), time.monotonic()
        elif not _is_idle(child):  # a process that is not given a processor does not wait by itself
            since = time.monotonic()
        ending = None
        if _cpu_s(child) - cpu > CPU_S:
            ending = f"time: over {CPU_S:g} s of computing"
        elif time.monotonic() - since > WALL_S:
            ending = f"time: over {WALL_S:g} s of waiting"
        elif _memory(child) - before > 2 * MOST_BYTES:
            ending = "memory"
        if ending is not None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return ending
        time.sleep(_POLL_S)


def _work(name: str, reader: Reader, seeds: Seeds, cases: range, keep: Path, told: Path, state: mmap.mmap) -> None:
    """The life of a process."""
    resource.setrlimit(resource.RLIMIT_DATA, (_DATA_LIMIT, _DATA_LIMIT))
    silent = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(silent, number)
    warnings.simplefilter("ignore")
    code = 0
    try:
        counts: Counter[str] = Counter()
        for number in cases:
            state[:] = _STATE.pack(number, counts["result"], counts["refused"], counts["finding"])
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            damaged = seeds.case(number)
            kind, what, detail = _case(reader, damaged)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
            if grown * 1024 > MOST_BYTES:
                kind, what, detail = "finding", "memory", f"{grown / 1024:,.0f} MB"
            counts[kind] += 1
            state[:] = _STATE.pack(number, counts["result"], counts["refused"], counts["finding"])
            if kind == "finding":
                with told.open("a") as file:
                    file.write(json.dumps([name, number, what, detail]) + "\n")
                _write_case(name, damaged, number, keep)
            if what == "memory":
                break  # the next process begins with little
    except BaseException:  # noqa: BLE001  a defect of this file
        keep.mkdir(parents=True, exist_ok=True)
        (keep / "harness.txt").write_text(traceback.format_exc())
        code = 3
    finally:
        os._exit(code)


def _case(reader: Reader, damaged: Damaged) -> tuple[str, str, str]:
    """result, refused or finding; of a finding what it is, and its details."""
    damaged.file.write_bytes(damaged.content)
    try:
        reader.read(damaged.folder)
    except InputError as error:
        return _told_well(error)
    except BaseException as error:  # noqa: BLE001  whatever comes is a finding
        return "finding", _signature(error), "".join(traceback.format_exception(error, limit=-6))[-3000:]
    finally:
        damaged.file.write_bytes(damaged.whole)
    return "result", "", ""


def _told_well(error: InputError) -> tuple[str, str, str]:
    text = str(error)
    if len(text) > LONGEST_MESSAGE:
        return "finding", f"message: {len(text):,} characters {_where(error)}", text[:600]
    if not text.isprintable():
        return "finding", f"message: not printable {_where(error)}", ascii(text)[:600]
    return "refused", "", ""


def _signature(error: BaseException) -> str:
    return f"{type(error).__name__} {_where(error)}"


def _where(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/sparseinst/" in frame.filename]
    if not frames:
        return "outside"
    last = frames[-1]
    return f"in {last.filename.rpartition('/sparseinst/')[2]}:{last.lineno} {last.name}"


def _write_case(name: str, damaged: Damaged, number: int, keep: Path) -> None:
    """Keeps the damaged file of a finding."""
    with contextlib.suppress(OSError):
        target = keep / name.replace(" ", "_") / f"{number}_{damaged.folder.name}_{damaged.file.name}"[-200:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(damaged.content)


def _memory(process: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def _is_idle(process: int) -> bool:
    """Whether it waits for something other than a processor or a disk."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "S"
    return False


def _cpu_s(process: int) -> float:
    with contextlib.suppress(OSError, IndexError, ValueError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0
