"""Every published network is recognised by its tensors and takes each of them."""

from pathlib import Path

import pytest
import torch

from reference.seeded import NETWORKS, shapes_of
from sparseinst.errors import InputError
from sparseinst.modeling.model import build_model
from sparseinst.zoo.checkpoint import load_strictly, translate
from sparseinst.zoo.models import load_model
from sparseinst.zoo.names import load_preset
from sparseinst.zoo.recognise import recognise


def tensors_of(preset: str) -> dict[str, torch.Tensor]:
    """Tensors of the published names and shapes; each holds a number of its own."""
    shapes = {name: shape for name, shape in shapes_of(preset).items() if not name.startswith("pixel_")}
    return {name: torch.full(shape, float(number)) for number, (name, shape) in enumerate(shapes.items())}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_is_used_once_and_every_parameter_set(name: str) -> None:
    tensors = tensors_of(name)
    assert recognise(tensors, source=Path("x.pth")).name == name
    translated = translate(tensors, levels=3)
    assert len(translated) == len(tensors)
    model = build_model(load_preset(name).model)
    for tensor in model.state_dict().values():
        tensor.fill_(torch.nan if tensor.is_floating_point() else 0)
    load_strictly(model, tensors, source=Path("x.pth"))
    for key, tensor in model.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(tensor, translated[key].to(tensor.dtype), rtol=0, atol=0)
    assert set(translated) <= set(model.state_dict())


@pytest.mark.parametrize(("name", "strides"), [("r50-dcn-giam", "layer3 layer4"), ("r101-dcn-giam", "layer3 layer4")])
def test_deformable_stages_are_those_published(name: str, strides: str) -> None:
    with torch.device("meta"):
        model = build_model(load_preset(name).model)
    found = {key.split(".")[2] for key, _ in model.named_parameters() if ".offset." in key}
    assert " ".join(sorted(found)) == strides


def test_other_classes_and_slots_are_taken_from_the_tensors(tmp_path: Path) -> None:
    tensors = tensors_of("r50-giam")
    prefix = "decoder.inst_branch."
    for leaf in ("weight", "bias"):
        tensors[f"{prefix}cls_score.{leaf}"] = tensors[f"{prefix}cls_score.{leaf}"][:3]
        tensors[f"{prefix}iam_conv.{leaf}"] = tensors[f"{prefix}iam_conv.{leaf}"][:200]
    torch.save({"model": tensors, "iteration": 7}, tmp_path / "model_final.pth")
    model = load_model(tmp_path / "model_final.pth")
    assert model.config.classes == ("class 1", "class 2", "class 3")
    assert model.config.decoder.slots == 50
    assert model.config.decoder.groups == 4


def test_what_does_not_fit_is_said() -> None:
    tensors = tensors_of("r50-giam")
    with pytest.raises(InputError, match=r"not of 'r50': .*decoder\.mix\.weight"):
        recognise(tensors, source=Path("x.pth"), among="r50")
    del tensors["encoder.fusion.bias"]
    with pytest.raises(InputError, match=r"nearest is 'r50-giam', but: missing encoder\.fusion\.conv\.bias \(256,\)\."):
        recognise(tensors, source=Path("x.pth"))
    tensors["pixel_mean"] = torch.tensor([103.53, 116.28, 123.675])[:, None, None]
    with pytest.raises(InputError, match=r"its pixel_mean is \[103\.5.*expected \[123\.675"):
        load_strictly(build_model(load_preset("r50-giam").model), tensors, source=Path("x.pth"))
    with pytest.raises(InputError, match=r"not part of a published"):
        recognise({**tensors, "decoder.extra": torch.zeros(1)}, source=Path("x.pth"))


@pytest.mark.parametrize(("named", "given"), [("r50", "r50-giam"), ("r50-giam", "r50")])
def test_another_networks_weights_are_named(named: str, given: str, tmp_path: Path) -> None:
    torch.save({"model": tensors_of(given)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth: these weights are of another network.*decoder\.activation"):
        load_model(named, weights=tmp_path / "other.pth")
