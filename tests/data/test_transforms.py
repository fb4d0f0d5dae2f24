from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from sparseinst.config.preprocess import NativeConfig, PreprocessConfig, ShortSideConfig
from sparseinst.data.geometry import network_hw
from sparseinst.data.seen import Seen
from sparseinst.data.transforms import TrainTransform
from sparseinst.errors import InputError
from sparseinst.recipe import AugmentConfig

PREPROCESS = ShortSideConfig(short_px=40, long_px=60)
STILL = AugmentConfig(flip=0, short_px=(32,), long_px=1000)
JITTER = {"jitter": (0.3, 3.0), "frame_hw": (64, 96)}
EVERYTHING = {"vertical_flip": 0.5, "quarter_turns": True, "color": 0.3, "crop": 0.5, "crop_px": (9, 30)}
SIZES = {"short_px": (16, 24, 40), "crop_short_px": (20, 40), "long_px": 90}


def run(
    augment: AugmentConfig, image: Tensor, layers: Tensor, seed: int = 0, preprocess: PreprocessConfig = PREPROCESS
) -> tuple[Tensor, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        changed, seen = TrainTransform(augment, preprocess)(image, tuple(image.shape[1:]))
    return changed, shown(layers, seen)


def shown(layers: Tensor, seen: Seen) -> Tensor:
    """What a view shows of layers."""
    rows, columns = (torch.from_numpy(places.copy()) for places in (seen.down, seen.across))
    return (layers.transpose(1, 2) if seen.turned else layers)[:, rows][:, :, columns].contiguous()


def picture(height: int, width: int) -> tuple[Tensor, Tensor]:
    """An image whose pixels say where they are, and layers that say the same."""
    place = torch.arange(height * width, dtype=torch.int32).reshape(1, height, width)
    return (place % 251).to(torch.uint8).repeat(3, 1, 1), place


def outcomes(augment: AugmentConfig, image: Tensor, layers: Tensor) -> set[bytes]:
    return {run(augment, image, layers, seed)[1].numpy().tobytes() for seed in range(60)}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [lambda x: x]),
        ({"flip": 1}, [lambda x: x.flip(2)]),
        ({"vertical_flip": 1}, [lambda x: x.flip(1)]),
        ({"flip": 0.5}, [lambda x: x, lambda x: x.flip(2)]),
        ({"quarter_turns": True}, [lambda x, k=k: torch.rot90(x, k, (1, 2)) for k in range(4)]),
    ],
)
def test_turns_and_flips(change: dict[str, float], expected: list[Callable[[Tensor], Tensor]]) -> None:
    image, layers = picture(32, 32)
    augment = STILL.model_copy(update=change)
    assert outcomes(augment, image, layers) == {how(layers).contiguous().numpy().tobytes() for how in expected}
    for seed in range(8):
        changed, places = run(augment, image, layers, seed)
        assert torch.equal(changed[0], (places[0] % 251).to(torch.uint8))


@given(st.integers(0, 1000), st.integers(8, 70), st.integers(8, 70), st.booleans())
def test_layers_change_as_each_mask_would(seed: int, height: int, width: int, jitter: bool) -> None:
    random = np.random.default_rng(seed)
    numbers = torch.from_numpy(random.integers(0, 4, (1, height, width), dtype=np.int32))
    image = torch.from_numpy(random.integers(0, 256, (3, height, width), dtype=np.uint8))
    augment = AugmentConfig(**(EVERYTHING | SIZES | (JITTER if jitter else {})))
    changed, together = run(augment, image, numbers, seed)
    alone = run(augment, image, torch.cat([(numbers == i).int() for i in range(1, 4)]), seed)[1]
    assert torch.equal(torch.cat([(together == i).int() for i in range(1, 4)]), alone)
    assert changed.dtype == torch.uint8 and type(changed) is Tensor
    assert changed.shape[1:] == together.shape[1:]
    assert not jitter or (changed.shape[1] <= 64 and changed.shape[2] <= 96)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 90), st.integers(1, 90))
def test_layers_take_the_nearest_centre(height: int, width: int, to_height: int, to_width: int) -> None:
    layers = torch.arange(height * width, dtype=torch.int32).reshape(1, height, width)
    # In exact arithmetic; torch's own nearest-exact rounds in float32 where a centre falls on a pixel's border.
    rows = [(2 * i + 1) * height // (2 * to_height) for i in range(to_height)]
    columns = [(2 * i + 1) * width // (2 * to_width) for i in range(to_width)]
    seen = Seen.whole((height, width)).resize((to_height, to_width))
    assert torch.equal(shown(layers, seen)[0], layers[0][rows][:, columns])


@pytest.mark.parametrize("hw", [(64, 96), (48, 24), (160, 240)])
def test_layers_resize_as_torch_does(hw: tuple[int, int]) -> None:
    layers = torch.randint(0, 99, (2, 32, 48), dtype=torch.int32)
    expected = functional.interpolate(layers[None].float(), size=hw, mode="nearest-exact")[0].int()
    assert torch.equal(shown(layers, Seen.whole((32, 48)).resize(hw)), expected)


def test_image_and_layers_stay_on_each_other() -> None:
    """Squares drawn into the image are where the layers say, whatever the scale and the place."""
    layers = torch.zeros(1, 60, 80, dtype=torch.int32)
    for number, (top, left) in enumerate([(4, 6), (30, 12), (20, 50), (38, 58)], start=1):
        layers[0, top : top + 16, left : left + 18] = number
    image = ((layers > 0) * 255).to(torch.uint8).repeat(3, 1, 1)
    for seed in range(30):
        for scale in ({"short_px": (70, 150)}, {"jitter": (2.0, 4.0), "frame_hw": (96, 96)}):
            augment = AugmentConfig(**(EVERYTHING | {"color": 0, "crop": 0} | scale))
            changed, places = run(augment, image, layers, seed)
            assert ((changed[0] > 127) == (places[0] > 0)).float().mean() > 0.985


def test_multi_scale_takes_every_short_side_and_keeps_the_limit() -> None:
    image, layers = picture(30, 60)
    augment = STILL.model_copy(update={"short_px": (16, 24, 40), "long_px": 60})
    sizes = {tuple(run(augment, image, layers, seed)[0].shape[1:]) for seed in range(40)}
    assert sizes == {(16, 32), (24, 48), (30, 60)}


def test_a_tile_is_a_window_of_the_image_as_it_is() -> None:
    image, layers = picture(45, 70)
    for seed in range(30):
        _, places = run(STILL.model_copy(update={"tile": 32}), image, layers, seed)
        assert torch.equal(places, places[0, 0, 0] + layers[:, :32, :32])
    wide = STILL.model_copy(update={"tile": 40, "tile_share": 0.5})
    assert {places.shape[2] for seed in range(30) for _, places in [run(wide, *picture(32, 64), seed)]} == {40, 64}
    small = picture(32, 30)
    assert torch.equal(run(STILL.model_copy(update={"tile": 32}), *small)[1], run(STILL, *small)[1])


def test_the_published_crop_has_sides_within_its_limits() -> None:
    image, layers = picture(30, 60)
    augment = STILL.model_copy(update={"crop": 1.0, "crop_short_px": (30,), "crop_px": (20, 40), "short_px": (64,)})
    ratios = set()
    for seed in range(60):
        changed, places = run(augment, image, layers, seed)
        seen = torch.unique(places)
        rows, columns = torch.unique(seen // 60), torch.unique(seen % 60)
        assert 20 <= len(rows) <= 30 and 20 <= len(columns) <= 40
        assert rows[-1] - rows[0] == len(rows) - 1 and min(changed.shape[1:]) == 64
        ratios.add((len(rows), len(columns), int(rows[0]), int(columns[0])))
    assert len(ratios) > 50


def test_jitter_scales_around_the_size_at_prediction() -> None:
    image, layers = picture(20, 30)  # 40 x 60 at prediction
    augment = STILL.model_copy(update={"jitter": (0.5, 1.0), "frame_hw": (64, 96)})
    sizes = [tuple(run(augment, image, layers, seed)[0].shape[1:]) for seed in range(60)]
    assert {abs(width - 1.5 * height) <= 1 for height, width in sizes} == {True}
    assert 20 <= min(sizes)[0] <= 22 and 38 <= max(sizes)[0] <= 40
    larger = augment.model_copy(update={"jitter": (2.0, 2.0)})
    corners = {int(run(larger, image, layers, seed)[1][0, 0, 0]) for seed in range(30)}
    assert run(larger, image, layers)[0].shape == (3, 64, 96) and len(corners) > 9


def test_color_changes_the_image_alone() -> None:
    image, layers = picture(32, 32)
    changed, places = run(STILL.model_copy(update={"color": 0.4}), image, layers)
    assert torch.equal(places, layers) and not torch.equal(changed, image)


def test_a_frame_below_the_short_sides_is_refused() -> None:
    with pytest.raises(InputError, match=r"augment\.frame_hw.*640"):
        TrainTransform(AugmentConfig(frame_hw=(608, 864)), ShortSideConfig())


def test_native_scale_leaves_pixels_as_they_are() -> None:
    image, layers = picture(90, 130)
    assert torch.equal(run(AugmentConfig(flip=0), image, layers, preprocess=NativeConfig())[1], layers)
    cropped = AugmentConfig(flip=0, frame_hw=(64, 96))
    corners = set()
    for seed in range(30):
        changed, places = run(cropped, image, layers, seed, NativeConfig())
        assert torch.equal(changed[0], (places[0] % 251).to(torch.uint8))
        assert torch.equal(places, places[0, 0, 0] + layers[:, :64, :96])
        corners.add(int(places[0, 0, 0]))
    assert len(corners) > 25
    small = picture(40, 130)
    assert run(cropped, *small, preprocess=NativeConfig())[1].shape == (1, 40, 96)


@given(st.integers(0, 1000), st.sampled_from([2, 4]), st.integers(33, 60), st.integers(65, 90))
def test_a_window_resized_is_a_window_of_the_resized_image(seed: int, shrink: int, rows: int, columns: int) -> None:
    """But for its borders: what lies beyond them is not there to be averaged."""
    native, augment = NativeConfig(scale=1 / shrink), AugmentConfig(flip=0, frame_hw=(32, 64))
    height, width = shrink * rows, shrink * columns
    # A plane: antialiased or not, its resized pixels say where they are, to within their rounding.
    plane = (torch.arange(height)[:, None] * 120 // height + torch.arange(width) * 120 // width).to(torch.uint8)
    layers = torch.arange(height * width, dtype=torch.int32).reshape(1, height, width)
    image, places = run(augment, plane.expand(3, -1, -1), layers, seed, native)
    assert image.shape[1:] == places.shape[1:] == (32, 64)
    whole = plane.flatten()[places.long()]  # (1, 32, 64) the image at the pixels that the layers show
    assert (image.int() - whole.int())[:, 2:-2, 2:-2].abs().max() <= 1 + shrink * 240 // height
    steps = places[0].diff(dim=1)
    assert (steps == shrink).all() and (places[0].diff(dim=0) == shrink * width).all()


def test_native_jitter_draws_as_many_doublings_as_halvings() -> None:
    image, layers = picture(64, 64)
    augment = AugmentConfig(flip=0, jitter=(0.25, 4.0), frame_hw=(512, 512))
    sides = [run(augment, image, layers, seed, NativeConfig(scale=2))[0].shape[1] for seed in range(300)]
    assert 32 <= min(sides) <= 35 and 470 <= max(sides) <= 512
    assert 0.4 < sum(side < 128 for side in sides) / len(sides) < 0.6


@given(st.integers(0, 1000), st.integers(1, 90), st.integers(1, 90), st.floats(0.1, 4), st.booleans())
def test_native_samples_fit_the_frame(seed: int, height: int, width: int, scale: float, jitter: bool) -> None:
    augment = AugmentConfig(
        vertical_flip=0.5, quarter_turns=True, color=0.2, frame_hw=(32, 64), jitter=(0.5, 2) if jitter else None
    )
    numbers = torch.from_numpy(np.random.default_rng(seed).integers(0, 4, (1, height, width), dtype=np.int32))
    image = ((numbers > 1) * 255).to(torch.uint8).repeat(3, 1, 1)
    changed, together = run(augment, image, numbers, seed, NativeConfig(scale=scale))
    assert changed.shape[1:] == together.shape[1:]
    assert changed.shape[1] <= 32 and changed.shape[2] <= 64
    alone = run(augment, image, torch.cat([(numbers == i).int() for i in range(1, 4)]), seed, NativeConfig(scale=scale))
    assert torch.equal(torch.cat([(together == i).int() for i in range(1, 4)]), alone[1])


def test_the_published_crop_is_refused_at_native_scale() -> None:
    with pytest.raises(InputError, match=r"augment\.crop"):
        TrainTransform(AugmentConfig(crop=0.5), NativeConfig())


def test_an_upright_image_is_made_smaller_to_fit_a_lying_frame() -> None:
    preprocess = ShortSideConfig(short_px=64, long_px=96, frame_hw=(64, 96))
    augment = AugmentConfig(flip=0, short_px=(64,), long_px=96, frame_hw=(64, 96))
    for size, expected in (((150, 100), (64, 43)), ((100, 150), (64, 96))):
        image, layers = run(augment, *picture(*size), preprocess=preprocess)
        assert image.shape[1:] == layers.shape[1:] == expected == network_hw(size, preprocess)


@pytest.mark.parametrize(
    ("image_hw", "augment", "expected"),
    [
        ((480, 640), {}, 1),  # 416 to 640 pixels
        ((3024, 4032), {}, 4),
        ((4032, 3024), {}, 4),
        ((3020, 4032), {}, 4),
        ((3022, 4032), {}, 2),
        ((3025, 4032), {}, 1),
        ((6000, 8000), {}, 8),
        ((6000, 8000), {"scaled_jpeg": False}, 1),
        ((6000, 8000), {"tile": 512}, 1),
        ((2560, 2560), {"short_px": (320,)}, 8),
        ((2560, 2560), {"short_px": (320,), "crop": 0.5, "crop_short_px": (400,)}, 4),
        ((2560, 2560), {"jitter": (0.5, 2.0), "frame_hw": (320, 320)}, 4),
    ],
)
def test_what_may_be_decoded_smaller(image_hw: tuple[int, int], augment: dict[str, object], expected: int) -> None:
    preprocess = ShortSideConfig(short_px=320, long_px=320)
    assert TrainTransform(AugmentConfig(**augment), preprocess).shrink(image_hw) == expected
    assert TrainTransform(AugmentConfig(**augment | {"crop": 0}), NativeConfig()).shrink(image_hw) == 1
