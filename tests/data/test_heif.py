import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import read_image
from sparseinst.data.sources import list_sources
from sparseinst.errors import InputError


def gradient() -> np.ndarray:
    return np.tile(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], (48, 1, 3))


def test_heic(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif reads HEIC images")
    pillow_heif.register_heif_opener()
    Image.fromarray(gradient()).save(tmp_path / "a.heic", quality=95)
    assert list_sources(tmp_path) == [tmp_path / "a.heic"]
    pixels = read_image(tmp_path / "a.heic", IntensityConfig())
    assert pixels.shape == (48, 64, 3) and np.abs(pixels.astype(int) - gradient()).mean() < 4


def test_avif(tmp_path: Path) -> None:
    if not features.check("avif"):
        pytest.skip("this Pillow does not read AVIF")
    Image.fromarray(gradient()).save(tmp_path / "a.avif", quality=95)
    assert np.abs(read_image(tmp_path / "a.avif", IntensityConfig()).astype(int) - gradient()).mean() < 4


def test_without_it_the_message_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(features, "check", lambda name: False)
    for name in ("a.heic", "b.HEIF", "c.avif"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InputError, match=r"sparseinst\[heif\]") as caught:
            read_image(tmp_path / name, IntensityConfig())
        assert str(caught.value).count(name) == 1
