"""Functions of the page's modules, called in Node.js."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(str(files("sparseinst") / "web" / "page"))
KINDS = {
    "Uint8Array": np.uint8, "Uint16Array": np.uint16, "Uint32Array": np.uint32, "Int32Array": np.int32,
    "Float32Array": np.float32, "Float64Array": np.float64,
}  # fmt: skip


class Node:
    """One process of Node.js; arrays become typed arrays, and the other way round."""

    def __init__(self, executable: str) -> None:
        command = [executable, str(Path(__file__).with_name("call.mjs"))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self, module: str, name: str, *args: object) -> Any:
        """What the function `name` of a module of the page returns."""
        request = {"module": (PAGE / module).as_uri(), "name": name, "args": args}
        assert self.process.stdin and self.process.stdout
        print(json.dumps(request, default=_plain), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, "Node.js has ended with an error: see above"
        return json.loads(answer, object_hook=_revive)


def _plain(value: object) -> dict[str, str]:
    assert isinstance(value, np.ndarray)
    (kind,) = (kind for kind, dtype in KINDS.items() if dtype == value.dtype)
    return {"kind": kind, "base64": base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()}


def _revive(value: dict[str, Any]) -> Any:
    if "base64" not in value:
        return value
    return np.frombuffer(base64.b64decode(value["base64"]), KINDS[value["kind"]])


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    executable = shutil.which("node")
    if executable is None:
        pytest.skip("node is absent: Node.js runs the page's modules in tests")
    node = Node(executable)
    yield node
    assert node.process.stdin
    node.process.stdin.close()
    assert node.process.wait(timeout=10) == 0
