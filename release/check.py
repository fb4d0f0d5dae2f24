"""Whether this tree can be released: `make release-check`.

    python release/check.py [--pythons python3.11,python3.12] [--work FOLDER] [--quick]

Builds wheel and sdist, looks at what is in them, and installs them into empty environments: the wheel with the newest
dependencies on each Python that is there, and with the oldest ones on the oldest; the sdist with the newest. In each
the demo and a smoke test run, far from this tree. `--quick` leaves the environments out.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from contents import ROOT, disagreements, fillers, oldest, problems_of, version

SUPPORTED = ("3.11", "3.12", "3.13")
SMOKE = """
import sparseinst, sys
from sparseinst.zoo.names import DEMO_IMAGE
assert "site-packages" in sparseinst.__file__, sparseinst.__file__
found = sparseinst.Predictor("nuclei")(DEMO_IMAGE)
assert len(found) == 60, len(found)
assert found.masks.shape == (60, 512, 672)
print("smoke test passed:", found)
"""
NUMBER = "import sys; print('%d.%d' % sys.version_info[:2])"
DEMO = "from sparseinst.zoo.names import DEMO_IMAGE; print(DEMO_IMAGE)"


def run(*command: object, cwd: Path | None = None) -> str:
    """What a command prints; what goes wrong ends it all, with what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},  # what is installed counts
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ends with {done.returncode}:\n{done.stdout}")
    return done.stdout


def build(out: Path) -> tuple[Path, Path]:
    """The wheel, built of the sdist, and the sdist."""
    run(sys.executable, "-m", "build", "--outdir", out, ROOT)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def look(files: tuple[Path, Path]) -> list[str]:
    """What is wrong with the files themselves."""
    print(run(sys.executable, "-m", "twine", "check", "--strict", *files).strip())
    wheel, _ = files
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, filled by", *fillers(wheel), sep="\n  ")
    return [problem for path in files for problem in problems_of(path)]


def pythons(named: str | None) -> dict[str, str]:
    """Supported version -> program, of those that can be had."""
    if named:
        return {run(name, "-c", NUMBER).strip(): name for name in named.split(",")}
    found = {number: name for number in SUPPORTED if (name := shutil.which(f"python{number}"))}
    return found or sys.exit(f"expected one of Python {', '.join(SUPPORTED)}, found none: name one with --pythons")


def install(file: Path, program: str, folder: Path, constraints: list[str]) -> None:
    """Installs a file into an empty environment, and runs demo and smoke test in an empty folder."""
    run(program, "-m", "venv", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    (folder / "constraints.txt").write_text("\n".join(constraints) + "\n", encoding="utf-8")
    run(python, "-m", "pip", "install", "--quiet", file, "--constraint", folder / "constraints.txt")
    here = folder / "here"
    here.mkdir()
    image = run(python, "-c", DEMO, cwd=here).split()[-1]
    command = python.with_name("sparseinst")
    run(command, "predict", image, "--out", "demo", "--save-json", "--save-masks", cwd=here)
    assert {path.name for path in (here / "demo").iterdir()} >= {"nuclei_overlay.png", "nuclei_labels.png"}
    run(command, "models", cwd=here)
    print(run(python, "-c", SMOKE, cwd=here).strip().splitlines()[-1])
    shutil.rmtree(folder)


def main() -> None:
    """Everything, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pythons", metavar="A,B", help="programs; without it python3.11 to python3.13, where they are"
    )
    parser.add_argument("--work", type=Path, help="folder for the environments; without it a temporary one")
    parser.add_argument("--quick", action="store_true", help="build and look, install nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        work = Path(name)
        wheel, sdist = build(work / "dist")
        problems = disagreements() + look((wheel, sdist))
        if problems:
            sys.exit("\n".join(problems))
        if options.quick:
            print("the files are as they should be; nothing was installed")
            return
        there = pythons(options.pythons)
        jobs = [(wheel, number, "newest") for number in there]
        jobs += [(wheel, min(there), "oldest"), (sdist, min(there), "newest")]
        for file, number, which in jobs:
            print(f"{file.name} on Python {number}, {which} dependencies", flush=True)
            install(file, there[number], work / "environment", oldest() if which == "oldest" else [])
        untested = [number for number in SUPPORTED if number not in there]
        print(f"sparseinst {version()} can be released" + f"; untested: Python {', '.join(untested) or 'none'}")


if __name__ == "__main__":
    main()
