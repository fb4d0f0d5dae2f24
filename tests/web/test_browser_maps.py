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

    cell = 123 / (resized[0] / 8), 77 / (resized[1] / 8)
    extent = [-(-side // 8) for side in resized]
    whole = np.zeros((len(chosen), groups, *extent))
    start = 0
    for grid, (rows, columns), place in zip(whole, found["blocks"], found["places"], strict=True):
        left, top = round(place[0] / cell[1]), round(place[1] / cell[0])
        right, bottom = left + columns, top + rows
        np.testing.assert_allclose(place, [left * cell[1], top * cell[0], right * cell[1], bottom * cell[0]])
        stop = start + rows * groups * columns
        grid[:, top:bottom, left:right] = found["cells"][start:stop].reshape(rows, groups, columns).swapaxes(0, 1)
        start = stop
    assert start == len(found["cells"])
    np.testing.assert_allclose(found["peaks"], maps.peaks, rtol=1e-5)
    expected = 255 * dense(maps, (8, 12))[:, :, : extent[0], : extent[1]] / maps.peaks[:, :, None, None]
    assert np.abs(whole - expected).max() <= 0.501 and (whole.max((2, 3)) == 255).all()


def test_maps_of_tiles_are_those_of_the_tiles_that_saw_the_objects(node) -> None:
    def tile(values: list[list[int]], places: list[list[int]]) -> dict[str, object]:
        cells = np.concatenate([np.zeros(0), *values]).astype(np.uint8)
        blocks = [[1, len(value) // 2] for value in values]  # two groups
        return {"groups": 2, "blocks": blocks, "places": places, "peaks": [[0.5, value[0]] for value in values],
                "cells": cells}  # fmt: skip

    parts = [tile([[1, 2], [3, 4, 5, 6]], [[0, 0, 8, 8], [8, 0, 24, 8]]), tile([], []), tile([[7, 8]], [[4, 5, 6, 7]])]
    windows = [{"top": 0, "left": 0}, {"top": 0, "left": 90}, {"top": 70, "left": 90}]
    found = node.call("browser_maps.js", "joinMaps", parts, windows, [2, 1])
    assert found["places"] == [[94, 75, 96, 77], [8, 0, 24, 8]]
    assert found["blocks"] == [[1, 1], [1, 2]] and found["cells"].tolist() == [7, 8, 3, 4, 5, 6]
    assert found["groups"] == 2 and found["peaks"] == [[0.5, 7], [0.5, 3]]


def test_nothing_found_has_no_cells(node) -> None:
    network, sizes = (
        {"groups": 1, "slots": 2, "activation": "sigmoid"},
        {"frame": [64, 64], "resized": [64, 64], "original": [64, 64]},
    )
    logits = np.zeros((2, 8, 8), np.float32)
    found = node.call("browser_maps.js", "activationCells", logits, [8, 8], [], network, sizes)
    assert found["peaks"] == [] and len(found["cells"]) == 0
