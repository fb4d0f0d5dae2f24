from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from torch import Tensor

from dense import label_images
from inference.standins import ColorBackend
from real import EMBRYO, NUCLEI
from sparseinst.config.model import ModelConfig, PostprocessConfig, for_whole_masks
from sparseinst.config.preprocess import IntensityConfig, NativeConfig, ShortSideConfig
from sparseinst.data.coco import CocoDataset
from sparseinst.data.geometry import frame_of, network_hw, shrinks
from sparseinst.data.images import read_image
from sparseinst.drawing.activation_sheet import draw_activation
from sparseinst.errors import InputError
from sparseinst.inference.prediction import predict_files
from sparseinst.inference.predictor import Predictor
from sparseinst.inference.tiling import Tiling, largest_tiles, own_tiling
from sparseinst.masks import rle
from sparseinst.predictions import Candidates
from sparseinst.structures import Instances
from sparseinst.zoo.models import load_model

TILE = 32


class PerfectBackend:
    """Reads the objects of a tile off its pixels: red is the object's number, green its class, blue its score."""

    config = ModelConfig(
        classes=("a", "b"),
        preprocess=ShortSideConfig(short_px=TILE, long_px=TILE),
        postprocess=PostprocessConfig(score=0),
    )
    frame = None

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        assert (resized_hw == TILE).all(), "tiles are not to be resized"
        slots = torch.arange(1, 256)
        masks = (images[:, :1] == slots[:, None, None]).float()  # (B, 255, H, W)
        inside = masks.flatten(2).any(2)
        labels, scores = ((images[:, [channel]] * masks).flatten(2).amax(2) for channel in (1, 2))
        return Candidates(scores / 255, labels.long(), masks, inside.float())


def paint(labels: np.ndarray, seed: int) -> np.ndarray:
    """The picture in which `PerfectBackend` reads these objects."""
    random = np.random.default_rng(seed)
    classes, scores = random.integers(0, 2, 256), random.integers(80, 256, 256)
    return np.stack([labels, np.where(labels, classes[labels], 0), np.where(labels, scores[labels], 0)], 2).astype(
        np.uint8
    )


@given(label_images(short=TILE + 1, long=100), st.integers(1, TILE // 2), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=25)
def test_every_object_is_found_once_and_whole(labels: np.ndarray, overlap: int, batch: int, seed: int) -> None:
    picture = paint(labels, seed)
    found = Predictor(PerfectBackend(), tile=TILE, overlap=overlap, batch=batch)(picture)
    numbers = np.unique(labels)[1:]
    expected = {rle.encode((labels == number)[None])[0]: number for number in numbers}
    assert sorted(found.rles) == sorted(expected)
    for i, counts in enumerate(found.rles):
        y, x = np.argwhere(labels == expected[counts])[0]
        assert found.labels[i] == picture[y, x, 1] and found.scores[i] == pytest.approx(picture[y, x, 2] / 255)


@pytest.mark.parametrize(("least", "kept"), [(0.0, True), (0.02, True), (0.05, False), (0.1, False)])
def test_small_pieces_of_whole_objects_are_dropped(least: float, kept: bool) -> None:
    labels = np.zeros((TILE, 56), np.int64)
    labels[10:20, 20:] = 1
    labels[2:5, 2:5] = 1  # 7 % of what the first tile shows of the object, 2.4 % of all of it
    backend = PerfectBackend()
    post = backend.config.postprocess.model_copy(update={"least_piece": least})
    backend.config = backend.config.model_copy(update={"postprocess": post})
    found = Predictor(backend, tile=TILE, overlap=8)(paint(labels, 0))
    expected = labels == 1
    expected[:5] &= kept
    assert found.rles == rle.encode(expected[None])


@given(st.integers(1, 90), st.integers(1, 90), st.integers(2, 60), st.data())
def test_windows_cover_the_image_with_enough_overlap(height: int, width: int, tile: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(1, tile // 2))
    align = data.draw(st.integers(1, tile - overlap))
    windows = Tiling(tile, overlap, align).windows((height, width))
    furthest = (tile - overlap) // align * align
    for axis, side in enumerate((height, width)):
        spans = sorted({(window[axis].start, window[axis].stop) for window in windows})
        assert spans[0][0] == 0 and spans[-1][1] == side
        assert all(start % align == 0 and stop == min(start + tile, side) for start, stop in spans)
        assert align > 1 or all(stop - start == min(tile, side) for start, stop in spans)
        assert all(before[1] - after[0] >= overlap for before, after in pairwise(spans))
        assert len(spans) == 1 or (len(spans) - 2) * furthest + tile < side, "one tile fewer would do"
    assert len(set(map(str, windows))) == len(windows)


def test_the_overlap_is_a_quarter_of_a_tile_unless_given() -> None:
    assert Tiling.of(512, None) == Tiling(512, 128)
    assert Tiling.of(512, 64) == Tiling(512, 64)
    assert Tiling.of(None, None) is None


@pytest.mark.parametrize(
    ("tile", "overlap", "named"),
    [(1, None, "tile"), (0, 0, "tile"), (64, 0, "1..32"), (64, 33, "1..32"), (None, 8, "give tile")],
)
def test_tiles_out_of_range(tile: int | None, overlap: int | None, named: str) -> None:
    with pytest.raises(InputError, match=named):
        Predictor(ColorBackend(), tile=tile, overlap=overlap)


def test_an_image_that_fits_a_tile_is_not_cut() -> None:
    image = np.zeros((60, 64, 3), np.uint8)
    image[10:50, 8:40, 1] = 255
    whole, cut = Predictor(ColorBackend())(image), Predictor(ColorBackend(), tile=64)(image)
    assert len(whole) == 1 and cut.rles == whole.rles and cut.scores.tolist() == whole.scores.tolist()


def test_tiles_of_several_images_share_batches_by_frame() -> None:
    backend = ColorBackend(short_px=64, long_px=128)
    images = [np.zeros((64, side, 3), np.uint8) for side in (64, 150, 64)]
    for number, image in enumerate(images):
        image[16:48, -40:-8, number] = 255
    found = Predictor(backend, tile=64, overlap=16, batch=3)(images)
    assert sorted(backend.calls) == [(2, 3, 64, 64), (3, 3, 64, 64)]
    assert [instances.labels.tolist() for instances in found] == [[0], [1], [2]]
    assert [instances.size_hw for instances in found] == [(64, 64), (64, 150), (64, 64)]
    assert np.abs(found[1].boxes[0] - (110, 16, 142, 48)).max() <= 4


def test_tiles_are_prepared_as_their_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = ColorBackend()
    predictor = Predictor(backend, tile=64, overlap=16, batch=2)
    ahead: list[int] = []
    prepare = predictor.pipeline.prepare
    done = lambda: sum(shape[0] for shape in backend.calls)  # noqa: E731
    monkeypatch.setattr(
        predictor.pipeline,
        "prepare",
        lambda image, preprocess=None: (ahead.append(len(ahead) + 1 - done()), prepare(image, preprocess))[1],
    )
    predictor(np.zeros((400, 400, 3), np.uint8))
    assert len(ahead) == 64 and max(ahead) <= predictor.pipeline.lookahead == 8


def test_images_are_asked_for_as_their_turn_comes() -> None:
    predictor = Predictor(ColorBackend(), tile=64, overlap=16)
    asked: list[int] = []

    def pictures() -> Iterator[np.ndarray]:
        for number in range(5):
            asked.append(number)
            yield np.zeros((100, 100, 3), np.uint8)

    stream = predictor.pipeline.found(map(predictor.pipeline.cut, pictures()))
    next(stream)
    assert asked == [0]
    assert len(list(stream)) == 4


class Embryo:
    """A real micrograph, explained in tiles and in one pass."""

    def __init__(self) -> None:
        self.image = read_image(EMBRYO, IntensityConfig())
        self.tiled, whole = nuclei_in_tiles(), nuclei_in_tiles(tile=0)
        self.in_tiles, self.in_one_pass = self.tiled.explain(self.image), whole.explain(self.image)


@pytest.fixture(scope="module")
def embryo() -> Embryo:
    return Embryo()


def test_activation_maps_are_those_of_the_tile_that_saw_the_object(embryo: Embryo) -> None:
    image, tiled = embryo.image, embryo.tiled
    (found, maps), (expected, whole_maps) = embryo.in_tiles, embryo.in_one_pass
    assert len(maps) == len(found) and tiled(image).rles == found.rles and maps.size_hw == found.size_hw
    agreement = ious(found, expected.rles)
    best, sure = agreement.argmax(1), agreement.max(1) > 0.9
    assert sure.mean() > 0.9
    for index in np.flatnonzero(sure)[::7]:
        x0, y0, x1, y1 = (int(side) for side in found.boxes[index])
        ours = maps.upsampled(int(index), box=(x0, y0, x1, y1))
        theirs = whole_maps.upsampled(int(best[index]), box=(x0, y0, x1, y1))
        assert np.abs(ours - theirs).mean() < 0.05
    sheet = draw_activation(image, found, maps, tiled.classes)
    assert sheet.std() > 10


def test_files_are_predicted_in_tiles(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, side in enumerate((64, 200)):
        image = np.zeros((side, side, 3), np.uint8)
        image[-50:-20, -50:-20, 2 - number] = 255  # BGR
        cv2.imwrite(str(tmp_path / f"in/{number}.png"), image)
    (tmp_path / "in/broken.png").write_bytes(b"no image")
    seen = []
    report = predict_files(tmp_path / "in", model=ColorBackend(), tile=64, overlap=32, batch=2, on_image=seen.append)
    assert [result.path.name for result in seen] == ["0.png", "1.png", "broken.png"]
    assert [result.instances.labels.tolist() for result in seen[:2]] == [[0], [1]]
    assert np.abs(seen[1].instances.boxes[0] - (150, 150, 180, 180)).max() <= 2
    assert [failure.path.name for failure in report.failures] == ["broken.png"]


def ious(first: Instances, second: tuple[bytes, ...]) -> np.ndarray:
    """(found, masks) IoU of each with each."""
    a, b = ([{"size": first.size_hw, "counts": item} for item in counts] for counts in (first.rles, second))
    return np.asarray(coco_mask.iou(a, b, [0] * len(b))).reshape(len(a), len(b))


def doubles(found: Instances) -> int:
    """Pairs of masks that overlap by half."""
    return int((np.triu(ious(found, found.rles), 1) >= 0.5).sum())


def nuclei_in_tiles(**options: int) -> Predictor:
    """The shipped network at a scale of 1, for which passes over more than 640 x 640 pixels are too large."""
    model = load_model("nuclei")
    settings = model.config.preprocess.model_copy(update={"scale": 1.0, "one_pass_px": 640})
    model.config = model.config.model_copy(update={"preprocess": settings})
    return Predictor(model, **options)


def native_backend(scale: float) -> ColorBackend:
    backend = ColorBackend()
    backend.config = backend.config.model_copy(update={"preprocess": NativeConfig(scale=scale)})
    return backend


@pytest.mark.parametrize(
    ("size_hw", "scale", "windows"), [((1536, 1536), 1.0, 1), ((1537, 1536), 1.0, 2), ((780, 1560), 1.5, 2)]
)
def test_what_is_too_large_for_one_pass_at_native_scale_is_cut_by_itself(
    size_hw: tuple[int, int], scale: float, windows: int
) -> None:
    predictor = Predictor(native_backend(scale))
    image = np.zeros((*size_hw, 3), np.uint8)
    image[-40:, -60:, 1] = 255
    cut = predictor.pipeline.cut(image)
    assert len(cut.windows) == windows
    assert len(predictor(image)) == 1
    assert len(Predictor(native_backend(scale), tile=0).pipeline.cut(image).windows) == 1
    assert Predictor(ColorBackend()).pipeline.tiling_of(size_hw) is None, "by the short side images are never too large"


@given(
    st.integers(100, 30000),
    st.integers(100, 30000),
    st.sampled_from([0.5, 1.0, 1.25, 1.4, 2.0, 0.7134]),
    st.sampled_from([None, 20.0, 72.0, 400.0]),
    st.sampled_from([None, (512, 512), (256, 320)]),
)
def test_tiles_made_by_themselves(
    height: int, width: int, scale: float, largest: float | None, frame: tuple[int, int] | None
) -> None:
    config = NativeConfig(scale=scale, largest_px=largest, frame_hw=frame)
    tiling = own_tiling((height, width), config)
    most = 1536 if frame is None else min(frame)
    whole = network_hw((height, width), config.model_copy(update={"frame_hw": None}))
    if tiling is None:
        assert max(whole) <= max(frame or whole) and (frame is not None or height * width * scale**2 <= most**2)
        return
    assert tiling.tile * scale <= most and 4 * tiling.overlap <= most / scale + 4
    assert len(tiling.windows((height, width))) == len(largest_tiles(config).windows((height, width)))
    for rows, columns in tiling.windows((height, width))[:50]:
        origin = np.array([rows.start, columns.start]) * scale
        assert tiling.align == 1 or np.allclose(origin / 32, (origin / 32).round(), atol=1e-6)
        frame_of_tile = frame_of((rows.stop - rows.start, columns.stop - columns.start), config)
        assert not shrinks(frame_of_tile.original_hw, config)


def test_tiles_are_as_few_as_one_pass_allows_and_no_larger_than_that_needs() -> None:
    config = NativeConfig(scale=1.4, largest_px=72.0)
    assert own_tiling((2048, 2048), config) == Tiling(tile=1090, overlap=125, align=160)
    assert own_tiling((1200, 1200), config) == Tiling(tile=720, overlap=125, align=160)
    assert [len(Tiling(1090, 125, 160).windows((side, side))) for side in (2048, 2051)] == [4, 9]


def test_an_object_whole_in_a_tile_is_that_of_one_pass(embryo: Embryo) -> None:
    height, width = embryo.image.shape[:2]
    tiling = embryo.tiled.pipeline.tiling_of((height, width))
    assert tiling is not None and tiling.align == 32 and len(tiling.windows((height, width))) >= 3
    found, expected = embryo.in_tiles[0], embryo.in_one_pass[0]
    agreement = ious(found, expected.rles)
    best = agreement.argmax(1)
    # Of objects whose room is not cut by every tile that shows them: all of the size that the overlap is made for.
    assert abs(len(found) - len(expected)) <= 0.01 * len(expected)
    assert np.mean(agreement.max(1) > 0.95) > 0.97
    assert np.mean(np.abs(found.scores - expected.scores[best]) < 0.02) > 0.97
    assert doubles(found) <= 0.01 * len(found)


def test_a_micrograph_in_tiles_shows_what_one_pass_shows() -> None:
    dataset = CocoDataset.load(NUCLEI / "val", NUCLEI / "val.json")
    index = dataset.image_ids.tolist().index(11)  # 157 nuclei in 520 x 696 pixels
    image = dataset.image(index, Predictor("nuclei").pipeline.preprocess)
    whole, tiled = Predictor("nuclei")(image), Predictor("nuclei", tile=384, overlap=96)(image)
    assert abs(len(whole) - len(tiled)) <= 0.05 * len(whole)
    truth = dataset.rles(index)
    met, met_in_tiles = ((ious(views, truth) >= 0.5).any(0).sum() for views in (whole, tiled))
    assert abs(int(met) - int(met_in_tiles)) <= 5
    assert doubles(tiled) <= 0.02 * len(tiled)


def test_what_makes_all_masks_at_once_sees_less_in_one_pass() -> None:
    config = load_model("nuclei").config
    bounded = for_whole_masks(config)
    assert bounded.preprocess.one_pass_px == 768 < config.preprocess.one_pass_px
    assert (
        own_tiling((520, 1040), config.preprocess) is None and own_tiling((520, 1040), bounded.preprocess) is not None
    )
    per_image = config.model_copy(update={"decoder": config.decoder.model_copy(update={"candidates_per": "image"})})
    assert for_whole_masks(per_image) == per_image and for_whole_masks(ModelConfig()) == ModelConfig()
