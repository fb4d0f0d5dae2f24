"""Train with a backbone of your own: register it with timm, and name it in the settings.

    python examples/custom_backbone.py my_data [ITERATIONS]

Any model of timm with feature maps needs no code at all: --set backbone.name=mobilenetv4_conv_small
"""

import sys

from timm.models import build_model_with_cfg, register_model
from torch import nn

from sparseinst import train


def stage(narrow: int, wide: int) -> nn.Sequential:
    """Half as many rows and columns."""
    return nn.Sequential(nn.Conv2d(narrow, wide, 3, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU())


class FourStages(nn.Module):
    """Features at strides 4, 8, 16, 32; timm takes them out by the names in `feature_info`."""

    def __init__(self, width: int = 16, **_: object) -> None:
        super().__init__()
        self.stem = stage(3, width)
        self.feature_info = []
        for number in range(1, 5):
            setattr(self, f"stage{number}", stage(width * number, width * (number + 1)))
            about = {"num_chs": width * (number + 1), "reduction": 2 ** (number + 1), "module": f"stage{number}"}
            self.feature_info.append(about)

    def forward(self, x):
        x = self.stem(x)
        for number in range(1, 5):
            x = getattr(self, f"stage{number}")(x)
        return x


@register_model
def four_stages(pretrained: bool = False, **options: object) -> nn.Module:
    features = {"out_indices": (0, 1, 2, 3)}  # all of them, unless others are asked for
    return build_model_with_cfg(FourStages, "four_stages", pretrained, feature_cfg=features, **options)


if __name__ == "__main__":
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    own = {"backbone.name": "four_stages", "optim.freeze": None}
    result = train(sys.argv[1], "lite", out="runs/own", init="random", iterations=steps, settings=own)
    print(f"best AP {result.best_ap:.3f}; import this file wherever you load {result.out / 'best.safetensors'}")
