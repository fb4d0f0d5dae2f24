import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseinst.config.preprocess import NativeConfig, ShortSideConfig
from sparseinst.data.coco import CocoDataset
from sparseinst.data.geometry import network_hw
from sparseinst.data.sizes import ObjectSizes, describe_sizes, measure_sizes


def sizes_of(*images: tuple[int, int, list[float]]) -> ObjectSizes:
    """Of images (height, width, diameters of their objects)."""
    diameters = np.array([diameter for *_, found in images for diameter in found], float)
    return ObjectSizes(
        diameters,
        diameters,
        np.repeat(np.arange(len(images)), [len(found) for *_, found in images]),
        np.array([image[:2] for image in images]),
    )


def advice(sizes: ObjectSizes, preprocess: ShortSideConfig | NativeConfig) -> str:
    told = describe_sizes(sizes, preprocess)
    assert 1 <= len(told) <= 2
    return "".join(told[1:])


def test_diameters_are_those_of_circles_of_the_same_area(write) -> None:
    dataset = CocoDataset.load(*write())
    sizes = measure_sizes(dataset)
    areas = np.concatenate([dataset.masks(i).sum((1, 2)) for i in range(3)])
    np.testing.assert_allclose(np.pi * (sizes.diameters_px / 2) ** 2, areas)
    masks = [mask for i in range(3) for mask in dataset.masks(i)]
    extents = [max(np.ptp(side) for side in np.nonzero(mask)) + 1 for mask in masks]
    np.testing.assert_array_equal(sizes.extents_px, extents)
    assert min(extents) <= sizes.largest_px <= max(extents)
    assert sizes.image_of.tolist() == [0, 0, 0, 2] and sizes.images_hw.tolist() == 3 * [[20, 30]]
    assert sizes.median_px == pytest.approx(np.median(2 * np.sqrt(areas / np.pi)))


def test_nothing_is_said_of_no_object(write, content) -> None:
    content["annotations"] = []
    sizes = measure_sizes(CocoDataset.load(*write(content)))
    assert np.isnan(sizes.median_px) and describe_sizes(sizes, NativeConfig()) == []


@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=1, max_size=4), st.floats(0.1, 4))
def test_what_the_network_sees(images: list[tuple[int, int]], scale: float) -> None:
    sizes = sizes_of(*((height, width, [10.0]) for height, width in images))
    for preprocess in (NativeConfig(scale=scale), ShortSideConfig()):
        resized = [network_hw(size, preprocess) for size in images]
        area = [10 * np.sqrt(h * w / height / width) for (h, w), (height, width) in zip(resized, images, strict=True)]
        np.testing.assert_allclose(sizes.seen_px(preprocess), area)


def test_the_line_tells_sizes_before_and_after() -> None:
    (line,) = describe_sizes(sizes_of((256, 256, [20.0] * 9), (512, 640, [20.0])), NativeConfig(scale=2))
    assert line == (
        "objects: 20 px across (median; nine in ten 20 to 20), in images of 256 x 256 to 512 x 640; "
        "the network sees 40 px across (median; nine in ten 40 to 40)"
    )
    assert "in images of 256 x 256;" in describe_sizes(sizes_of((256, 256, [20.0])), NativeConfig())[0]


def test_advice_suits_the_objects() -> None:
    small = ShortSideConfig(short_px=384, long_px=384)
    tiny_objects = sizes_of((1536, 1536, [20.0, 24.0]))
    found = advice(tiny_objects, small)
    assert "objects would be 6 px" in found and "--model nuclei" in found and "--size (about 1408)" in found
    assert advice(tiny_objects, NativeConfig()) == ""
    assert "objects of 9 px are small for a network: --set preprocess.scale=0.91" in advice(
        tiny_objects, NativeConfig(scale=0.4)
    )
    cells = sizes_of((256, 256, [30.0] * 5), (1024, 1024, [30.0] * 5))  # one microscope, two cameras
    assert "native scale (--model nuclei) suits" in advice(cells, ShortSideConfig())
    assert advice(cells, NativeConfig()) == ""
    photographs = sizes_of((256, 256, [40.0] * 5), (1024, 1024, [160.0] * 5))
    assert "by the short side" in advice(photographs, NativeConfig())
    assert advice(photographs, ShortSideConfig()) == ""
