"""A network of several channels starts from weights of RGB, and networks of RGB are what they were."""

import pytest
import torch

from sparseinst.config.preprocess import ShortSideConfig
from sparseinst.modeling.model import build_model
from sparseinst.zoo.checkpoint import save_checkpoint
from sparseinst.zoo.models import init_weights, load_model
from tiny import tiny_config

FIRST = "backbone.features.conv_stem.weight"


def several(channels: int):
    config = tiny_config()
    return config.model_copy(update={"preprocess": ShortSideConfig(short_px=64, long_px=64, channels=channels)})


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_first_convolution_is_widened(tmp_path, channels):
    rgb, wide = build_model(tiny_config()).eval(), build_model(several(channels)).eval()
    save_checkpoint(tmp_path / "rgb.safetensors", rgb)
    told = init_weights(wide, tmp_path / "rgb.safetensors")
    assert told.endswith(f"fresh: none; first convolution widened from 3 to {channels} channels")
    ours, theirs = rgb.state_dict(), wide.state_dict()
    assert theirs[FIRST].shape[1] == channels
    for channel in range(channels):
        torch.testing.assert_close(theirs[FIRST][:, channel], ours[FIRST][:, channel % 3] * 3 / channels)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name != FIRST)
    if channels == 6:  # each colour twice is what the colours are once
        image = torch.rand(1, 3, 64, 96) * 255
        rgb.std[:], wide.std[:] = 60, 60
        rgb.mean[:], wide.mean[:] = 110, 110
        torch.testing.assert_close(wide(image.repeat(1, 2, 1, 1)).logits, rgb(image).logits, atol=1e-4, rtol=1e-4)


def test_a_network_of_rgb_is_not_touched(tmp_path):
    rgb, other = build_model(tiny_config()), build_model(tiny_config())
    save_checkpoint(tmp_path / "rgb.safetensors", rgb)
    assert init_weights(other, tmp_path / "rgb.safetensors").endswith("fresh: none")
    assert all(torch.equal(a, b) for a, b in zip(rgb.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_checkpoint_brings_its_channels(tmp_path):
    save_checkpoint(tmp_path / "five.safetensors", build_model(several(5)))
    loaded = load_model(tmp_path / "five.safetensors")
    assert loaded.config.preprocess.channels == 5 and loaded.state_dict()[FIRST].shape[1] == 5
