"""Weights from a stranger: a network or an InputError, at once, whatever the bytes."""

import io
import json
import pickle
import pickletools
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sparseinst.errors import InputError
from sparseinst.modeling.model import build_model
from sparseinst.zoo.checkpoint import save_checkpoint
from sparseinst.zoo.header import checkpoint_extra
from sparseinst.zoo.models import load_model
from sparseinst.zoo.tensors import read_tensors
from tiny import tiny_config, tiny_seeds_config


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, build_model(tiny_config()))
    return path


@pytest.fixture(scope="module")
def pickled() -> bytes:
    content = io.BytesIO()
    torch.save({"model": {"a": torch.zeros(40), "b": torch.ones(3, 5)}}, content)
    return content.getvalue()


def rewritten(checkpoint: Path, path: Path, change) -> Path:
    """The checkpoint with other settings."""
    from safetensors import safe_open

    with safe_open(checkpoint, "pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["config"])
    change(config)
    save_file(load_file(checkpoint), path, metadata={**metadata, "config": json.dumps(config)})
    return path


def only_input_errors(path: Path) -> None:
    try:
        read_tensors(path)
    except InputError as error:
        assert len(str(error)) < 1000


def test_a_torch_file_cut_anywhere(pickled: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    for end in range(0, len(pickled), max(1, len(pickled) // 200)):
        path.write_bytes(pickled[:end])
        only_input_errors(path)


@settings(max_examples=150)
@given(suffix=st.sampled_from([".pth", ".pkl", ".safetensors"]), data=st.data())
def test_a_changed_file(pickled: bytes, checkpoint: Path, tmp_path_factory, suffix: str, data: st.DataObject) -> None:
    whole = {
        ".pth": pickled,
        ".pkl": pickle.dumps({"model": {"a": np.zeros((2, 3), np.float32)}}, protocol=data.draw(st.integers(0, 5))),
        ".safetensors": checkpoint.read_bytes()[:20_000],
    }[suffix]
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("changed") / f"a{suffix}"
    path.write_bytes(bytes(content))
    only_input_errors(path)


def test_a_pickle_that_numbers_its_objects_beyond_all_memory(tmp_path: Path) -> None:
    path = tmp_path / "memo.pkl"
    path.write_bytes(b"\x80\x02}r\xff\xff\xff\x7f.")
    assert [code.name for code, *_ in pickletools.genops(path.read_bytes())][2] == "LONG_BINPUT"
    with pytest.raises(InputError, match="memo"):
        read_tensors(path)


def test_a_packed_archive(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**7))
    with pytest.raises(InputError, match="bomb"):
        read_tensors(path)


def test_one_number_that_stands_for_many(tmp_path: Path) -> None:
    path = tmp_path / "wide.pth"
    torch.save({"model": {"a": torch.zeros(1).expand(10**12)}}, path)
    with pytest.raises(InputError, match=r"wide\.pth: .*tensor 'a'.*fewer numbers than it says"):
        read_tensors(path)


def test_names_that_no_file_system_takes() -> None:
    for suffix in (".pth", ".pkl", ".safetensors", ".onnx", ".xml", ".pt2", ".yaml"):
        from sparseinst.runtime.backends import open_backend

        with pytest.raises(InputError) as caught:
            open_backend("x" * 5000 + suffix)
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(checkpoint: Path, tmp_path: Path, value: float) -> None:
    tensors = load_file(checkpoint)
    tensors["decoder.classifier.bias"][0] = value
    path = tmp_path / "nan.safetensors"
    from safetensors import safe_open

    with safe_open(checkpoint, "pt") as file:
        save_file(tensors, path, metadata=file.metadata())
    with pytest.raises(InputError, match=r"nan\.safetensors: .*finite numbers.*decoder\.classifier\.bias"):
        load_model(path)


@pytest.mark.parametrize(
    ("group", "setting", "value"),
    [
        ("preprocess", "std", [0, 1, 1]), ("preprocess", "std", [1, float("nan"), 1]),
        ("preprocess", "short_px", 10**9), ("preprocess", "frame_hw", [32, 32 * 10**6]),
        ("decoder", "slots", 10**9), ("decoder", "convs", 10**6), ("decoder", "channels", 10**7),
        ("encoder", "pool_bins", [10**9]), ("encoder", "pool_bins", [1] * 1000), ("postprocess", "score", float("nan")),
    ],
)  # fmt: skip
def test_settings_have_bounds(checkpoint: Path, tmp_path: Path, group: str, setting: str, value: object) -> None:
    path = rewritten(checkpoint, tmp_path / "a.safetensors", lambda config: config[group].update({setting: value}))
    with pytest.raises(InputError, match=rf"a\.safetensors: .*{setting}"):
        load_model(path)


def test_settings_that_ask_for_more_than_the_tensors_hold_build_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rewritten(checkpoint, tmp_path / "a.safetensors", lambda config: config["decoder"].update(channels=8192))
    from sparseinst.zoo import models

    def planned(config, **options):
        assert torch.empty(1).device.type == "meta", "built for real"
        return build_model(config, **options)

    monkeypatch.setattr(models, "build_model", planned)
    with pytest.raises(InputError, match=r"a\.safetensors: these weights are of another network"):
        load_model(path)


def test_settings_that_need_too_much_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "seeds.safetensors"
    config = tiny_seeds_config(candidates=20_000)
    large = config.preprocess.model_copy(update={"short_px": 8192, "long_px": 8192})
    save_checkpoint(path, build_model(config.model_copy(update={"preprocess": large})))
    with pytest.raises(InputError, match=r"seeds\.safetensors: .*at most 8 GB each.*masks of 20000"):
        load_model(path)


def test_facts_of_another_form(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"extra": "[1]"})
    with pytest.raises(InputError, match="facts by name"):
        checkpoint_extra(path)


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("kind", ["O8", "V4", "U1", "m8", "f9", "f4,", ""])
def test_arrays_of_anything_but_numbers_are_never_given_to_numpy(tmp_path: Path, kind: str, protocol: int) -> None:
    class Typed:
        """As an array of this type is pickled."""

        def __reduce__(self) -> tuple[object, ...]:
            rebuild, given, state = np.zeros((2, 3), np.float32).__reduce__()
            return rebuild, given, (*state[:2], Kind(), *state[3:])

    class Kind:
        def __reduce__(self) -> tuple[object, ...]:
            return np.dtype, (kind, False, True), (3, "<", None, None, None, -1, -1, 0)

    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"a": Typed()}, protocol))
    with pytest.raises(InputError, match=r"a\.pkl"):
        read_tensors(path)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "|u1", "<i8", "|b1", "<f2"])
def test_arrays_of_all_protocols_are_what_they_were(tmp_path: Path, kind: str, order: str) -> None:
    wanted = {"a": np.arange(6).reshape(2, 3).astype(kind, order=order), "b": np.zeros((0, 4), kind), "c": np.array(3)}
    for protocol in range(6):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": {**wanted, "scalar": np.float32(1)}}, protocol))
        found = read_tensors(tmp_path / "a.pkl")
        assert list(found) == ["a", "b", "c"]
        for name, array in wanted.items():
            np.testing.assert_array_equal(found[name].numpy(), array)
