"""Damaged files for every reader (benchmarks/fuzz.py does it a million times), and that defects would be noticed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUZZ = ROOT / "benchmarks" / "fuzz.py"

_DEFECTS = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fuzzing import running
from sparseinst.errors import InputError
running.CPU_S, running.WALL_S, running.MOST_BYTES = 0.5, 1.0, 2**26

def read(folder):
    match (folder / "a.bin").read_bytes()[:1]:
        case b"a": os.abort()
        case b"b":
            while True: pass
        case b"c": time.sleep(60)
        case b"d": return len(b"x" * 2**28)
        case b"e": raise KeyError("e")
        case b"f": raise InputError("a.bin: expected " + "long words, " * 300)
        case b"g": raise InputError("a.bin: expected less")
        case b"h": sys.exit(3)

place = Path(sys.argv[2]) / "corpus" / "0"
place.mkdir(parents=True)
(place / "a.bin").write_bytes(b"whole")
running.mutated = lambda chance, *_: b"abcdefghi"[int(chance.random() * 9) :]
outcome = running.run_cases("x", running.Reader(read, ("*.bin",), 1), place.parent, seed=0, cases=range(60),
                            keep=Path(sys.argv[2]) / "kept")
print(sorted({finding.what.partition(" ")[0] for finding in outcome.findings}))
print(outcome.results > 0, outcome.refused > 0, outcome.results + outcome.refused + len(outcome.findings))
print((place / "a.bin").read_bytes(), len(list((Path(sys.argv[2]) / "kept" / "x").iterdir())))
"""


def test_each_kind_of_defect_is_found(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _DEFECTS, str(FUZZ.parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    kinds, counts, kept = done.stdout.splitlines()
    assert kinds == str(sorted(["KeyError", "SystemExit", "crash:", "memory", "message:", "time:"]))
    assert counts == "True True 60"
    assert kept.startswith("b'whole' ")


def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(FUZZ), "--cases", "300", "--only", "", "--state", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_damage_depends_on_seed_reader_and_number_alone(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(FUZZ.parent)
    from fuzzing.running import Seeds

    for name, content in (("0/a.json", '{"a": [1, 2]}'), ("1/a.json", "[]"), ("0/b.png", "no picture")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    made = [[Seeds(tmp_path, ("*",), reader, 7).case(number) for number in range(50)] for reader in ("x", "x", "y")]
    assert made[0] == made[1] != made[2]
    assert len({case.content for case in made[0]}) > 25
