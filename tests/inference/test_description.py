import base64
import io
import json

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparseinst.activation import ActivationMaps
from sparseinst.inference.description import describe
from sparseinst.masks import rle
from sparseinst.masks.grid import Frame
from sparseinst.serving import activation_png
from sparseinst.structures import Instances


def found() -> tuple[Instances, NDArray[np.bool_]]:
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 5:20, 10:31] = True
    masks[0, 8:10, 12:14] = False
    masks[1, 30:36, 2:9] = masks[1, 2:6, 50:58] = True
    scores, labels = np.array([0.9, 0.25], np.float32), np.array([1, 0])
    return Instances(scores, labels, rle.encode(masks), np.array([7, 30]), (40, 60), classes=("cell", "disc")), masks


def pixels_of(url: str) -> NDArray[np.uint8]:
    head, _, content = url.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_every_kind_of_mask_says_the_same() -> None:
    instances, masks = found()
    by_kind = {kind: describe(instances, kind) for kind in ("rle", "polygons", "png")}
    for kind, image in by_kind.items():
        assert json.loads(json.dumps(image)) == image
        assert (image["width"], image["height"]) == (60, 40), kind
        first, second = image["instances"]
        assert (first["id"], first["label"], first["class"], first["slot"]) == (1, 1, "disc", 7)
        assert (first["bbox"], first["area"], first["score"]) == ([10, 5, 21, 15], 15 * 21 - 4, 0.9)
        assert (second["id"], second["class"], second["bbox"]) == (2, "cell", [2, 2, 56, 34])
    for i, mask in enumerate(masks):
        told = {kind: image["instances"][i]["segmentation"] for kind, image in by_kind.items()}
        assert told["rle"]["size"] == [40, 60]
        np.testing.assert_array_equal(rle.decode([told["rle"]["counts"].encode()], (40, 60))[0], mask)
        x, y, width, height = by_kind["png"]["instances"][i]["bbox"]
        np.testing.assert_array_equal(pixels_of(told["png"]) > 0, mask[y : y + height, x : x + width])
        corners = np.array([point for part in told["polygons"] for point in zip(part[::2], part[1::2], strict=True)])
        assert mask[corners[:, 1], corners[:, 0]].all()
    assert len(by_kind["polygons"]["instances"][1]["segmentation"]) == 2


def test_nothing_found_is_an_empty_list() -> None:
    assert describe(Instances.empty((4, 6))) == {"width": 6, "height": 4, "instances": []}


def test_activation_maps_come_back_from_the_picture() -> None:
    random = np.random.default_rng(0)
    values = random.random((3, 2, 8, 12)).astype(np.float32) * np.array([1, 0.2, 0.01], np.float32)[:, None, None, None]
    frame = Frame((64, 96), (50, 80), (500, 800))  # 8 x 12 cells, of which 6.25 x 10 are image
    values[2, :, :3] = values[2, :, :, :4] = 0  # the third map begins at row 3 and column 4
    told = activation_png.to_json(ActivationMaps.of(values, frame))
    assert (told["groups"], told["height"], told["width"]) == (2, 8, 12)
    assert told["places"] == [[0, 0, 960, 640], [0, 0, 960, 640], [240, 160, 1200, 800]]
    picture = pixels_of(told["png"])
    assert picture.shape == (3 * 8, 2 * 12) and picture.dtype == np.uint8
    for i, (y, x) in enumerate([(0, 0), (0, 0), (2, 3)]):
        for g in range(2):
            cells = picture[i * 8 : (i + 1) * 8, g * 12 : (g + 1) * 12]
            expected = values[i, g, y:7, x:10] / told["peaks"][i][g] * 255
            np.testing.assert_allclose(cells[: 7 - y, : 10 - x], expected, atol=0.51)
            assert cells.max() == 255


def test_maps_of_nothing_are_an_empty_block() -> None:
    none = ActivationMaps.of(np.zeros((0, 2, 8, 12), np.float32), Frame((64, 96), (64, 96), (64, 96)))
    told = activation_png.to_json(none)
    assert told["peaks"] == [] and pixels_of(told["png"]).shape == (1, 2)
