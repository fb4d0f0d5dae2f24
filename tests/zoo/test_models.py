"""Names, presets and checkpoints."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from sparseinst.errors import InputError
from sparseinst.modeling.model import build_model
from sparseinst.zoo.checkpoint import read_checkpoint, save_checkpoint
from sparseinst.zoo.header import checkpoint_extra
from sparseinst.zoo.models import init_weights, load_model
from sparseinst.zoo.names import load_preset, preset_names
from tiny import tiny_config

IMAGES = torch.rand(1, 3, 64, 64) * 255


def outputs(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([part.flatten() for part in model.eval()(IMAGES)])


def test_a_checkpoint_brings_back_network_settings_and_facts(tmp_path: Path) -> None:
    model = build_model(tiny_config())
    save_checkpoint(tmp_path / "deep" / "a.safetensors", model, extra={"ap": 0.5})
    again = load_model(tmp_path / "deep" / "a.safetensors")
    assert not again.training
    assert again.config == model.config
    torch.testing.assert_close(outputs(again), outputs(model), rtol=0, atol=0)
    assert checkpoint_extra(tmp_path / "deep" / "a.safetensors") == {"ap": 0.5}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.safetensors"]


def test_half_stores_parameters_in_16_bits_and_loads_as_float32(tmp_path: Path) -> None:
    model = build_model(tiny_config(norm="batch"))
    save_checkpoint(tmp_path / "half.safetensors", model, half=True)
    stored = load_file(tmp_path / "half.safetensors")
    parameters = {name for name, _ in model.named_parameters()}
    assert {name for name, t in stored.items() if t.dtype == torch.float16} == parameters
    assert stored["decoder.mask_branch.0.0.norm.running_var"].dtype == torch.float32
    again = load_model(tmp_path / "half.safetensors")
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    torch.testing.assert_close(outputs(again), outputs(model), rtol=0.02, atol=0.02)


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(InputError, match=r"x\.safetensors.*found none"):
        load_model(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"x\.safetensors: expected a safetensors file, cannot read it"):
        load_model(path)
    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(InputError, match=r"x\.safetensors: expected a sparseinst checkpoint"):
        load_model(path)


def test_every_missing_unknown_and_misshapen_tensor_counts(tmp_path: Path) -> None:
    model = build_model(tiny_config())
    save_checkpoint(tmp_path / "a.safetensors", model)
    config, tensors = read_checkpoint(tmp_path / "a.safetensors")
    metadata = {"format": "sparseinst-1", "config": config.model_dump_json(), "extra": "{}"}
    tensors["decoder.kernel.bias"] = torch.zeros(3)
    tensors["decoder.surplus"] = tensors.pop("decoder.objectness.bias")
    save_file(tensors, tmp_path / "b.safetensors", metadata=metadata)
    with pytest.raises(InputError) as error:
        load_model(tmp_path / "b.safetensors")
    for part in (
        "missing decoder.objectness.bias (1,)",
        "unknown decoder.surplus",
        "kernel.bias is (3,), expected (8,)",
    ):
        assert part in str(error.value)


def test_settings_of_a_later_version_are_an_input_error(tmp_path: Path) -> None:
    config = json.loads(tiny_config().model_dump_json()) | {"telepathy": True}
    metadata = {"format": "sparseinst-1", "config": json.dumps(config), "extra": "{}"}
    save_file({"a": torch.ones(1)}, tmp_path / "c.safetensors", metadata=metadata)
    with pytest.raises(InputError, match="telepathy"):
        load_model(tmp_path / "c.safetensors")


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {"a": Path("x")}}, tmp_path / "evil.pth")
    with pytest.raises(
        InputError, match=r"evil\.pth: expected a state dict of tensors that loads without running code"
    ):
        load_model("r50-giam", weights=tmp_path / "evil.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(InputError, match=r"empty\.pth: expected a dict of tensors"):
        load_model("r50-giam", weights=tmp_path / "empty.pth")


def test_presets_load_and_names_are_suggested() -> None:
    assert {"r50", "r50-giam", "nuclei"} <= set(preset_names())
    for name in preset_names():
        assert load_preset(name).description
    with pytest.raises(InputError, match="did you mean r50-giam"):
        load_preset("r50_giam")
    with pytest.raises(InputError, match=r"publish sparse_inst_r50_giam at .*convert FILE"):
        load_model("r50-giam")
    with pytest.raises(InputError, match=r"no weights yet, and none are published: train it"):
        load_model("darknet53-giam")
    with pytest.raises(InputError, match=r"published\.pth: expected a weights file, found none"):
        load_model("published.pth")


def test_a_preset_file_with_an_unknown_setting_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    content = {"description": "mine", "model": json.loads(tiny_config().model_dump_json())}
    path.write_text(yaml.safe_dump(content))
    assert load_model(path, random_weights=True).config == tiny_config()
    content["model"]["decoder"]["slot"] = 3
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"mine\.yaml: model\.decoder\.slot"):
        load_preset(path)


def test_init_keeps_what_fits_and_says_what_does_not(tmp_path: Path) -> None:
    source = build_model(tiny_config())
    save_checkpoint(tmp_path / "two.safetensors", source)
    three = tiny_config().model_copy(update={"classes": ("a", "b", "c")})
    target = build_model(three)
    report = init_weights(target, tmp_path / "two.safetensors")
    assert "fresh: decoder.classifier" in report
    torch.testing.assert_close(target.decoder.kernel.weight, source.decoder.kernel.weight)
    assert target.decoder.classifier.weight.shape[0] == 3


@pytest.mark.parametrize("renamed", [False, True])
def test_init_takes_a_classifiers_backbone_by_name_or_by_order(tmp_path: Path, renamed: bool) -> None:
    import timm

    classifier = timm.create_model("test_efficientnet", num_classes=1000)
    tensors = classifier.state_dict()
    first = next(iter(tensors.values())).clone()
    if renamed:
        tensors = {f"layer{i}": tensor for i, tensor in enumerate(tensors.values())}
    torch.save(tensors, tmp_path / "backbone.pth")
    model = build_model(tiny_config())
    report = init_weights(model, tmp_path / "backbone.pth")
    assert "backbone" not in report.split("fresh:")[1]
    torch.testing.assert_close(next(iter(model.backbone.features.state_dict().values())), first)
    torch.save({"other": torch.ones(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"only 0 of .* tensors fit"):
        init_weights(model, tmp_path / "other.pth")
