"""A file imports only from layers below its own: the table of docs/design.md, enforced."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sparseinst

LAYERS = (
    {"version"},
    {"errors"},
    {"collection", "disk"},
    {"config", "files"},
    {"parsing"},
    {"recipe"},
    {"masks"},
    {"predictions", "batch", "structures"},
    {"activation"},
    {"ops"},
    {"modeling", "data", "drawing"},
    {"zoo"},
    {"hub", "runtime"},
    {"inference"},
    {"cells"},
    {"video", "evaluation", "web"},
    {"training", "exporting", "review"},
    {"serving", "scale", "napari"},
    {"cli"},
)
LAYER = {unit: number for number, units in enumerate(LAYERS) for unit in units}
DELEGATIONS = {
    "structures.py": {
        "sparseinst.drawing.instances",
        "sparseinst.inference.writers",
        "sparseinst.inference.description",
        "sparseinst.cells.measuring",
    },
}
"""Methods of values that functions of upper rooms do, which are imported when they are called."""
HOMES = {name: home.split(":")[0].split(".")[1] for name, home in sparseinst._HOMES.items()}


def imports(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of all that a file imports, wherever it does so."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom():
                base = package[: len(package) - node.level + 1] if node.level else []
                base = base + (node.module.split(".") if node.module else [])
                yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)
            case ast.Call(func=ast.Name("import_module" | "__import__"), args=[ast.Constant(str(name)), *_]):
                yield node.lineno, name


def offence(own: str, name: str) -> str | None:
    """Why a file of the unit `own` may not import this; None if it may."""
    root, *parts = name.split(".")
    if root != "sparseinst":
        return None
    unit = HOMES.get(parts[0], parts[0]) if parts else ""
    if unit not in LAYER:
        return "does not say from which layer"
    if unit == own or LAYER[unit] < LAYER[own]:
        return None
    return f"layer {LAYER[own]} ({own}) may not import from layer {LAYER[unit]} ({unit})"


def violations(root: Path) -> list[str]:
    found = []
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if place == Path("__init__.py"):  # it names everything and imports nothing: see test_import.py
            continue
        own = place.parts[0].removesuffix(".py")
        if own not in LAYER:
            found.append(f"{place}: {own} is in no layer: add it to the table")
            continue
        package = ["sparseinst", *place.parts[:-1]]
        for line, name in imports(ast.parse(path.read_text(encoding="utf-8")), package):
            reason = None if name in DELEGATIONS.get(str(place), ()) else offence(own, name)
            if reason is not None:
                found.append(f"{place}:{line}: {name}: {reason}")
    return found


def test_every_import_comes_from_a_layer_below() -> None:
    root = Path(sparseinst.__file__).parent
    files = {path.relative_to(root).parts[0].removesuffix(".py") for path in root.rglob("*.py")}
    assert {"modeling", "data", "training", "cli"} <= files, "the walk has lost the package"
    assert violations(root) == []


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in turn, wherever in their files; empty where there are none."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for other in sorted(graph.get(module, ())):
            if found := visit(other, [*path, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(graph) if (found := visit(module, []))), [])


def imported_modules(root: Path) -> dict[str, set[str]]:
    files = {path.relative_to(root).with_suffix("").parts: path for path in root.rglob("*.py")}
    names = {".".join(["sparseinst", *parts]).removesuffix(".__init__"): path for parts, path in files.items()}
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        found = {target for _, target in imports(ast.parse(path.read_text(encoding="utf-8")), [])}
        graph[name] = {target if target in names else target.rpartition(".")[0] for target in found} & names.keys()
        graph[name] -= {name, "sparseinst"}
    return graph


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = imported_modules(Path(sparseinst.__file__).parent)
    assert len(graph) > 150 and "sparseinst.errors" in graph["sparseinst.files"]
    delegated = {name for names in DELEGATIONS.values() for name in names}
    graph["sparseinst.structures"] -= delegated
    assert circle(graph) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("data/coco.py", "from sparseinst.modeling import SparseInst"),
        ("data/coco.py", "from sparseinst.modeling.model import SparseInst"),
        ("data/coco.py", "def f():\n    from sparseinst.drawing import draw"),
        ("data/coco.py", "if TYPE_CHECKING:\n    import sparseinst.zoo.models"),
        ("data/coco.py", "from ..modeling import model"),
        ("data/deep/coco.py", "from ...zoo import models"),
        ("data/coco.py", "from .. import cli"),
        ("data/coco.py", "from sparseinst import inference"),
        ("data/coco.py", "from sparseinst import load_model"),
        ("data/coco.py", "import sparseinst"),
        ("data/coco.py", "from sparseinst import *"),
        ("data/coco.py", "import_module('sparseinst.training')"),
        ("structures.py", "from sparseinst.ops import losses"),
        ("helpers/new.py", "import os"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, place: str, line: str) -> None:
    plant(tmp_path / place, line)
    (offender,) = violations(tmp_path)
    assert offender.startswith(place)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("data/coco.py", "from sparseinst.data.formats import resolve_data"),
        ("data/coco.py", "from . import formats"),
        ("data/coco.py", "from ..ops import losses"),
        ("data/coco.py", "from sparseinst.masks import rle\nfrom sparseinst import InputError"),
        ("recipe.py", "from sparseinst.config.model import ModelConfig"),
        ("cli/train.py", "def f():\n    from sparseinst import Predictor, evaluate\n    import torch"),
    ],
)
def test_an_import_from_below_is_not(tmp_path: Path, place: str, line: str) -> None:
    plant(tmp_path / place, line)
    assert violations(tmp_path) == []


def plant(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'"""A file."""\n\n{line}\n')
