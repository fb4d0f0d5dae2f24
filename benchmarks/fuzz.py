"""Damaged files for every reader: each case ends in a result or in an InputError, in bounded time and memory.

python benchmarks/fuzz.py [--cases 1000000] [--seed 0] [--only WORD] [--state FOLDER] [--chunk 2000]

Files are real ones, small; damage is drawn from the seed, the reader and the number of the case alone, so that each
can be made again. Cases run in forked processes. A run that is ended goes on where it was; findings stop nothing, are
listed at the end, and their files lie in the folder of the state.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import torch
from fuzzing.readers import READERS, shares
from fuzzing.running import CPU_S, MOST_BYTES, WALL_S, Finding, in_child, run_cases
from record import write_result

from sparseinst.files import atomic


class State:
    """How far a run has come, in a file.

    Args:
        folder: for the file, and those of findings.
        cases: in all.
        seed: of the run.
    """

    def __init__(self, folder: Path, cases: int, seed: int) -> None:
        self.path, self.cases, self.seed = folder / f"state-{seed}-{cases}.json", cases, seed
        kept = json.loads(self.path.read_text()) if self.path.is_file() else {}
        self.done: dict[str, dict[str, float]] = kept.get("done", {})
        self.findings = [Finding(*item) for item in kept.get("findings", [])]

    def of(self, name: str) -> dict[str, float]:
        """Figures of a reader."""
        return self.done.setdefault(name, {"cases": 0, "results": 0, "refused": 0, "findings": 0, "seconds": 0.0})

    def save(self) -> None:
        """Writes it."""
        with atomic(self.path) as temporary:
            temporary.write_text(json.dumps({"done": self.done, "findings": self.findings}))


def run(state: State, names: list[str], chunk: int, keep: Path) -> None:
    """All cases that are left."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        for name, wanted in shares(names, state.cases):
            figures, tried = state.of(name), READERS[name]
            if figures["cases"] >= wanted:
                continue
            corpus = Path(folder) / name.replace(" ", "_")
            in_child(lambda write=tried.write, folder=corpus: write(folder))
            while figures["cases"] < wanted:
                begun, start = time.perf_counter(), int(figures["cases"])
                cases = range(start, min(start + chunk, wanted))
                outcome = run_cases(name, tried.reader, corpus, seed=state.seed, cases=cases, keep=keep)
                figures["cases"] = cases.stop
                figures["results"] += outcome.results
                figures["refused"] += outcome.refused
                figures["findings"] += len(outcome.findings)
                figures["seconds"] = round(figures["seconds"] + time.perf_counter() - begun, 2)
                state.findings += outcome.findings
                state.save()
            print(f"{name}: {figures}", flush=True)
            shutil.rmtree(corpus)


def told(findings: list[Finding]) -> list[dict[str, Any]]:
    """Findings of one kind together, the first of each in full."""
    counts = Counter((finding.reader, finding.what) for finding in findings)
    first = {(finding.reader, finding.what): finding for finding in reversed(findings)}
    return [
        {"reader": reader, "what": what, "times": times, "first": first[reader, what].case,
         "detail": first[reader, what].detail}
        for (reader, what), times in counts.most_common()
    ]  # fmt: skip


def main() -> int:
    """Runs, prints and writes the figures; 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="readers whose name has this word")
    parser.add_argument("--state", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--chunk", type=int, default=2000, help="cases between two saved states")
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)  # threads of this process are none in its children, which would wait for them
    names = [name for name in READERS if options.only is None or options.only in name]
    state = State(options.state, options.cases, options.seed)
    run(state, names, options.chunk, options.state / "findings")
    kinds = told(state.findings)
    for kind in kinds:
        print(f"{kind['times']:>6} x {kind['reader']}: {kind['what']} (case {kind['first']})\n{kind['detail']}")
    if options.only is None:
        totals = {key: sum(figures[key] for figures in state.done.values()) for key in ("cases", "results", "refused")}
        bounds = {"computing_s": CPU_S, "waiting_s": WALL_S, "memory_mb": MOST_BYTES / 2**20}
        figures = {**totals, "seed": options.seed, "bounds": bounds, "findings": kinds, "readers": state.done}
        print(write_result("fuzz", figures))
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
