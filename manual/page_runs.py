"""Runs the blocks of a page in order, in one folder, and says what the tests change about them.

What is typed is what is run, with these exceptions: `CHANGED` shortens training, begins it with the weights that ship
so that what comes after finds something, and takes a free port; `pip install` is looked at instead of run (extras have
to be there); what serves until it is stopped runs until the page ends.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

from blocks import ROOT, Block

TRAINED = "--iterations 2 --set optim.warmup=1"
KNOWING = "--init nuclei --lr 1e-5"
_TRAIN = r"(?m)^((?:.*-m sparseinst\.cli|sparseinst) train (?![^#\n]*--resume)[^#\n]*)"
CHANGED = (
    (_TRAIN, rf"\1 {TRAINED} ", "two steps of training"),
    (r" --(?:minutes|epochs|iterations) [\d.]+(?=[^\n]* --iterations 2 )", "", "instead of the time or steps shown"),
    (
        r"(?m)^(sparseinst train (?![^#\n]*--(?:resume|model|init))[^#\n]*)",
        rf"\1{KNOWING} ",
        "from weights that find something",
    ),
    (r"\biterations=\d+", 'iterations=2, init="nuclei", lr=1e-5', "the same in Python"),
    (r"\b8000\b", "{port}", "a free port"),
)
"""Pattern, what stands in its place, why."""
LONGEST_S = 1800
_PRELUDE = """
set -euo pipefail
served() {{
  "$@" > served.log 2>&1 & echo $! >> served.pids
  for _ in $(seq 300); do (: < /dev/tcp/127.0.0.1/{port}) 2> /dev/null && return; sleep 0.2; done
  cat served.log >&2; echo "nothing listens on port {port}" >&2; return 1
}}
sparseinst() {{
  if [ "$1" = serve ]; then served {python} -m sparseinst.cli "$@" --port {port}
  else {python} -m sparseinst.cli "$@"; fi
}}
python() {{ if [ "${{1-}} ${{2-}}" = "-m http.server" ]; then served {python} "$@" {port}; else {python} "$@"; fi; }}
pip() {{ {python} {here} "$@"; }}
"""


def changed(text: str, port: int) -> str:
    """A block as the tests run it."""
    text = re.sub(r"\\\n\s*", "", text)
    for pattern, instead, _ in CHANGED:
        text = re.sub(pattern, instead.format(port=port) if "{port}" in instead else instead, text)
    return text


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_block(block: Block, folder: Path, port: int) -> str:
    """Runs a block in a folder.

    Returns:
        What it printed, both streams.

    Raises:
        AssertionError: if it fails, with what it printed.
    """
    text = changed(block.text, port)
    program = {
        "sh": lambda: ["bash", "-c", _PRELUDE.format(port=port, python=sys.executable, here=__file__) + text],
        "python": lambda: [sys.executable, "-c", text],
        "sql": lambda: [sys.executable, "-c", f"import duckdb\nprint(duckdb.sql({text!r}))"],
    }[block.language]()
    environment = {**os.environ, "COLUMNS": "200", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        program, cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL, check=False, timeout=LONGEST_S,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, f"{block.page}, line {block.line} ends with {done.returncode}:\n{text}\n{done.stdout}"
    return done.stdout


def end_served(folder: Path) -> None:
    """Ends what a page left running."""
    path = folder / "served.pids"
    for pid in path.read_text(encoding="utf-8").split() if path.exists() else ():
        os.kill(int(pid), signal.SIGTERM)


def fits(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed: line by line, with `...` for anything."""
    pattern = r".*?".join(re.escape(part) for part in re.split(r"\.\.\.", " ".join(shown.split())))
    return re.search(pattern, " ".join(printed.split())) is not None


def unknown_extras(arguments: list[str]) -> set[str]:
    """Extras of this package that an installation asks for and that do not exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = re.findall(r"(?:^|\s)(?:sparseinst|\.)\[([^\]]+)\]", " ".join(arguments))
    return {name.strip() for names in asked for name in names.split(",")} - set(project["optional-dependencies"])


if __name__ == "__main__":  # in the place of pip
    if unknown := unknown_extras(sys.argv[1:]):
        sys.exit(f"no such extras: {sorted(unknown)}")
