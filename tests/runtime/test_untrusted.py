"""A .pt2 file from a stranger: whatever it brings, none of it runs."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseinst.config.model import ModelConfig
from sparseinst.errors import InputError
from sparseinst.runtime.backends import open_backend
from sparseinst.runtime.exported import INPUTS, OUTPUTS, Exported
from sparseinst.runtime.exported_backend import load_program
from sparseinst.runtime.program_archive import safe_archive

FILES = Path(__file__).parents[1] / "fixtures" / "v01"
GRAPH, WEIGHTS, CONSTANTS = "models/model.json", "data/weights/model_weights_config.json", "data/constants/model_"
SAMPLES = "data/sample_inputs/model.pt"


@pytest.fixture(scope="module")
def parts() -> dict[str, bytes]:
    with zipfile.ZipFile(FILES / "exported.zip") as outer, zipfile.ZipFile(io.BytesIO(outer.read("tiny.pt2"))) as inner:
        return {name.partition("/")[2]: inner.read(name) for name in inner.namelist()}


class Runs:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, left: Path) -> None:
        self.left = left

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return open, (str(self.left), "w")


def written(path: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(f"archive/{name}", content)
    return path


def changed(parts: dict[str, bytes], change: Callable[[dict], None], name: str = GRAPH) -> dict[str, bytes]:
    content = json.loads(parts[name])
    change(content)
    return parts | {name: json.dumps(content).encode()}


def test_pickled_inputs_are_never_opened(parts: dict[str, bytes], tmp_path: Path) -> None:
    left = tmp_path / "left"
    content = io.BytesIO()
    torch.save((Runs(left),), content)
    program, exported = load_program(written(tmp_path / "a.pt2", parts | {SAMPLES: content.getvalue()}))
    assert not left.exists() and exported.config.classes and program.graph.nodes


@pytest.mark.parametrize(
    "name", ["data/weights/model.pt", "data/constants/custom_obj_0", "data/constants/opaque_obj_0",
             "data/aotinductor/model/a.so", "models/other.json", "serialized_state_dict.pt", "version"],
)  # fmt: skip
def test_a_part_that_may_run_code_is_refused_by_name(parts: dict[str, bytes], tmp_path: Path, name: str) -> None:
    left = tmp_path / "left"
    path = written(tmp_path / "a.pt2", parts | {name: pickle.dumps(Runs(left))})
    with pytest.raises(InputError, match=rf"a\.pt2: .*{name.split('/')[-1]}.*run code.*export the network again"):
        load_program(path)
    assert not left.exists()


def test_pickled_weights_are_refused(parts: dict[str, bytes], tmp_path: Path) -> None:
    def pickled(content: dict) -> None:
        next(iter(content["config"].values()))["use_pickle"] = True

    path = written(tmp_path / "a.pt2", changed(parts, pickled, WEIGHTS))
    with pytest.raises(InputError, match="has a pickled part"):
        load_program(path)


EVIL = "__import__('pathlib').Path('{left}').touch()"


def expression(graph: dict, text: str) -> None:
    values = graph["graph_module"]["graph"]["tensor_values"].values()
    size = next(size for value in values for size in value["sizes"] if "as_expr" in size)
    size["as_expr"]["expr_str"] = text


def renamed(graph: dict, text: str) -> None:
    graph["graph_module"]["graph"]["nodes"][0]["name"] = text


def target(graph: dict, text: str) -> None:
    graph["graph_module"]["graph"]["nodes"][0]["target"] = text


def guards(graph: dict, text: str) -> None:
    graph["guards_code"] = [text]


@pytest.mark.parametrize(
    ("change", "text", "said"),
    [
        (expression, EVIL, "the size"),
        (expression, f'"{EVIL}"', "the size"),
        (expression, "Add(Integer(1), ().__class__)", "the size"),
        (expression, "Symbol('x', integer=open('y'))", "the size"),
        (renamed, "a\n    import os", "where a name belongs"),
        (renamed, "__class__", "where a name belongs"),
        (target, "torch.os.system", "none of the operators"),
        (target, "torch.ops.aten.from_file.default", "none of the operators"),
        (target, "torch.ops.aten.as_strided.default", "none of the operators"),
        (target, "_operator.methodcaller", "none of the operators"),
    ],
)
def test_a_graph_that_would_be_evaluated_is_refused(
    parts: dict[str, bytes], tmp_path: Path, change: Callable[[dict, str], None], text: str, said: str
) -> None:
    left = tmp_path / "left"
    path = written(tmp_path / "a.pt2", changed(parts, lambda graph: change(graph, text.replace("{left}", str(left)))))
    with pytest.raises(InputError, match=said):
        load_program(path)
    assert not left.exists()


def test_guards_are_left_out(parts: dict[str, bytes], tmp_path: Path) -> None:
    path = written(tmp_path / "a.pt2", changed(parts, lambda graph: guards(graph, EVIL)))
    content, _ = safe_archive(path)
    assert b"pathlib" not in content


def test_a_part_given_twice_or_packed_is_refused(parts: dict[str, bytes], tmp_path: Path) -> None:
    path = written(tmp_path / "a.pt2", parts)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"archive/{GRAPH}", b"{}")
    with pytest.raises(InputError, match="each part once"):
        load_program(path)
    packed = tmp_path / "b.pt2"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"archive/{GRAPH}", b" " * 10**7)
    with pytest.raises(InputError, match="each part once"):
        load_program(packed)


@settings(max_examples=60)
@given(data=st.data())
def test_damage_ends_in_an_input_error(parts: dict[str, bytes], tmp_path_factory, data: st.DataObject) -> None:
    path = written(tmp_path_factory.mktemp("cut") / "a.pt2", parts)
    whole = path.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    path.write_bytes(whole[:position] if cut else whole[:position] + b"\xff" + whole[position + 1 :])
    try:
        safe_archive(path)
    except InputError as error:
        assert len(str(error)) < 1000


@given(st.dictionaries(st.sampled_from([*Exported.model_fields]), st.text() | st.just("[" * 10**5), min_size=1))
def test_metadata_of_any_text(changes: dict[str, str]) -> None:
    metadata = Exported(config=ModelConfig()).to_metadata() | changes
    try:
        Exported.from_metadata(metadata, source="a.onnx")
    except InputError as error:
        assert str(error).startswith("a.onnx: ") and len(str(error)) < 5000


def test_a_file_that_gives_something_else_than_it_says() -> None:
    exported = Exported(config=ModelConfig())
    exported.check_ports(INPUTS, [*OUTPUTS, "more"], source="a.onnx")
    with pytest.raises(InputError, match=r"a\.onnx: expected a network with gate, masks, got one with labels, scores"):
        exported.check_ports(INPUTS, ["labels", "scores"], source="a.onnx")


@pytest.mark.parametrize("suffix", ["onnx", "xml"])
def test_a_cut_file_of_another_runtime(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip({"onnx": "onnxruntime", "xml": "openvino"}[suffix])
    with zipfile.ZipFile(FILES / "exported.zip") as archive:
        whole = archive.read(f"tiny.{suffix}")
    path = tmp_path / f"a.{suffix}"
    for end in range(0, len(whole), len(whole) // 7):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=rf"a\.{suffix}"):
            open_backend(path)
