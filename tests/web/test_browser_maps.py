"""A browser makes of activation logits the maps that the package makes."""

import numpy as np
import pytest
import torch

from maps import dense
from sparseinst.activation import activation_maps
from sparseinst.masks.grid import Frame


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("resized", [(64, 96), (50, 33), (64, 1)])
def test_cells_are_maps_from_0_to_their_peaks(node, activation: str, groups: int, resized: tuple[int, int]) -> None:
    frame, slots, chosen = Frame((64, 96), resized, (123, 77)), 7, [1, 2, 6]
    logits = 5 * torch.randn(groups * slots, 8, 12, generator=torch.Generator().manual_seed(0))
    maps = activation_maps(logits, np.array(chosen), frame, groups=groups, activation=activation)
    network = {"groups": groups, "slots": slots, "activation": activation}
    sizes = dict(zip(("frame", "resized", "original"), frame, strict=True))
    found = node.call("browser_maps.js", "activationCells", logits.numpy(), [8, 12], chosen, network, sizes)

    rows, columns = found["height"], found["width"]
    extent = [resized[0] / 8, resized[1] / 8]
    assert found["groups"] == groups and rows - 1 < extent[0] <= rows and columns - 1 < extent[1] <= columns
    place = [0, 0, columns / extent[1] * 77, rows / extent[0] * 123]
    np.testing.assert_allclose(found["places"], [place] * len(chosen))
    np.testing.assert_allclose(found["peaks"], maps.peaks, rtol=1e-5)
    cells = found["cells"].reshape(len(chosen), rows, groups, columns).swapaxes(1, 2)
    expected = 255 * dense(maps, (8, 12))[:, :, :rows, :columns] / maps.peaks[:, :, None, None]
    assert np.abs(cells - expected).max() <= 0.501 and (cells.max((2, 3)) == 255).all()


def test_nothing_found_has_no_cells(node) -> None:
    network, sizes = (
        {"groups": 1, "slots": 2, "activation": "sigmoid"},
        {"frame": [64, 64], "resized": [64, 64], "original": [64, 64]},
    )
    logits = np.zeros((2, 8, 8), np.float32)
    found = node.call("browser_maps.js", "activationCells", logits, [8, 8], [], network, sizes)
    assert found["peaks"] == [] and len(found["cells"]) == 0
