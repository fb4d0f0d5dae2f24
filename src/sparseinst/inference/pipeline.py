"""The steps from an image of any kind to its instances: read, cut, batch, join. All that predicts goes through here."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparseinst.config.model import ModelConfig
from sparseinst.config.preprocess import RGB, NativeConfig, PreprocessConfig
from sparseinst.data.channels import read_pixels, to_pixels
from sparseinst.data.prepare import Prepared, prepare
from sparseinst.errors import InputError
from sparseinst.inference.batches import Batches, Explained
from sparseinst.inference.limits import at_most
from sparseinst.inference.options import check_options
from sparseinst.inference.scaling import FrameWatch, at_pixel_size, at_scale, checked_auto
from sparseinst.inference.sizing import estimated_diameter
from sparseinst.inference.tiles import Cut, cut, join_cuts, one_of_explained, one_of_tiles
from sparseinst.inference.tiling import Tiling, own_tiling
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.backends import Backend, open_backend
from sparseinst.runtime.exported import Exported
from sparseinst.runtime.names import is_exported
from sparseinst.runtime.torch_backend import EagerBackend, TorchBackend
from sparseinst.structures import Instances
from sparseinst.zoo.header import known_config

AnyImage = str | Path | bytes | Image.Image | NDArray[Any] | Tensor
"""A file or its content, a Pillow image, an array (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, or a tensor
(3, H, W) or (1, H, W) of any device, uint8 or floating in 0..1; for a network of other channels than RGB an array
(H, W, channels) or a tensor (channels, H, W).
"""


class Pipeline:
    """What `Predictor` and every command that predicts are made of.

    Args:
        model: a network (in float32; it is left as it is), a backend, the name or checkpoint file of a network, or an
            exported file.
        score: lowest score to keep; None takes the one that comes with the checkpoint.

    The other options are those of `PipelineOptions`, which describes each, with their defaults.

    Attributes:
        backend: what runs the network.
        preprocess: how images are brought to it.
        estimates: whether the scale of each image follows from how large its objects seem.
        scale_is_given: whether the scale was given, or how large objects are.
        tiling: how images are cut, if that was asked for.
        cuts_itself: whether those are cut that are too large for one pass.
        frame_watch: warns where a fixed frame cannot hold an image.
        batch: images at once.
        score: lowest score to keep, 0..1.
        max_instances: most instances in an image; None is what the network's settings say.
    """

    def __init__(
        self,
        model: SparseInst | Backend | str | Path,
        *,
        device: str | torch.device | None = "auto",
        half: bool = False,
        batch: int = 1,
        score: float | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        scale: float | None = None,
        diameter: float | Literal["auto"] | None = None,
        max_instances: int | None = None,
    ) -> None:
        check_options(
            _known_config(model), score=score, device=device, batch=batch, tile=tile, overlap=overlap, scale=scale,
            diameter=diameter, max_instances=max_instances,
        )  # fmt: skip
        if isinstance(model, str | Path | SparseInst):
            model = open_backend(model, device=device, half=half, max_instances=max_instances)
        if max_instances is not None:
            model = at_most(model, max_instances)
        self.backend, self.max_instances, self.batch = model, max_instances, batch
        self.score = model.config.postprocess.score if score is None else score
        self.preprocess = at_scale(
            _with_frame(model.config.preprocess, model.frame),
            scale=scale, diameter=None if diameter == "auto" else diameter,
        )  # fmt: skip
        self.estimates = checked_auto(diameter, scale, self.preprocess)
        self.scale_is_given = scale is not None or diameter is not None
        self.cuts_itself = tile != 0
        self.tiling = Tiling.of(tile or None, overlap, self.preprocess)
        self.frame_watch = FrameWatch()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label."""
        return self.backend.config.classes

    @property
    def lookahead(self) -> int:
        """How many images it is worth to read ahead."""
        return self.batches().lookahead

    @property
    def knows_micrometres(self) -> bool:
        """Whether the scale of an image follows from the size of its pixels, where that is known."""
        known = isinstance(self.preprocess, NativeConfig) and self.preprocess.pixel_um is not None
        return known and not self.scale_is_given

    @property
    def explains(self) -> bool:
        """Whether what runs the network gives activation maps, too."""
        exported: Exported | None = getattr(self.backend, "exported", None)
        return isinstance(self.backend, EagerBackend) or (exported is not None and exported.activation)

    def read(self, image: AnyImage) -> NDArray[np.uint8]:
        """(H, W, channels) uint8 of an image of any kind, under the intensity policy of the network."""
        if isinstance(image, str | Path | bytes):
            return read_pixels(image, self.preprocess)
        if isinstance(image, Tensor):
            image = _array_of(image, self.preprocess.channels)
        return to_pixels(image, self.preprocess)

    def prepare(self, pixels: NDArray[np.uint8], preprocess: PreprocessConfig | None = None) -> Prepared:
        """(H, W, channels) uint8 resized for the network; a fixed frame that cannot hold it is warned of.

        Args:
            pixels: the image.
            preprocess: how it is brought to the network; None is that of the pipeline, as everywhere here.
        """
        preprocess = preprocess or self.preprocess
        self.frame_watch.see((pixels.shape[0], pixels.shape[1]), preprocess)
        return prepare(pixels, preprocess)

    def cut(self, image: AnyImage, preprocess: PreprocessConfig | None = None) -> Cut:
        """The image as the network takes it: whole or in tiles (see `tiling_of`), each prepared when its turn comes.

        Without a `preprocess` the scale may be that which its objects ask for (`estimates`, see `sized`).
        """
        pixels = self.read(image)
        preprocess = preprocess or self.sized(pixels)
        tiling = self.tiling_of((pixels.shape[0], pixels.shape[1]), preprocess)
        return cut(pixels, tiling, partial(self.prepare, preprocess=preprocess))

    def tiling_of(self, size_hw: tuple[int, int], preprocess: PreprocessConfig | None = None) -> Tiling | None:
        """How an image of (height, width) is cut: as was asked for, else where one pass would be too large."""
        if self.tiling is not None or not self.cuts_itself:
            return self.tiling
        return own_tiling(size_hw, preprocess or self.preprocess)

    def sized(self, pixels: NDArray[np.uint8], pixel_um: float | None = None) -> PreprocessConfig:
        """How an image is brought to the network.

        At the scale that was given; at that which its objects ask for, where they are to be estimated; at that which
        its pixels ask for, where their size is known and the network states its own; else at the network's.

        Args:
            pixels: (H, W, channels) uint8.
            pixel_um: micrometres of its pixels, where that is known.
        """
        if self.estimates:
            diameter = estimated_diameter(pixels, self._first_pass, self.preprocess)
            return at_scale(self.preprocess, diameter=diameter)
        return self.preprocess if self.scale_is_given else at_pixel_size(self.preprocess, pixel_um)

    def _first_pass(self, pixels: NDArray[np.uint8], preprocess: PreprocessConfig) -> Instances:
        return next(self.found([self.cut(pixels, preprocess)], score=self.backend.config.postprocess.score))

    def found(self, cuts: Iterable[Cut], *, score: float | None = None, sparing: bool = False) -> Iterator[Instances]:
        """Instances of each image, in their order, best first; images are asked for as their turn comes, a few ahead.

        Args:
            cuts: the images.
            score: lowest score to keep of these; None is that of the pipeline.
            sparing: takes half of the memory and up to a third longer.
        """
        joined = join_cuts(
            cuts, self.batches(score, sparing=sparing).found, partial(one_of_tiles, least_piece=self._least_piece)
        )
        return map(self.named, joined)

    def explained(self, cuts: Iterable[Cut], *, score: float | None = None) -> Iterator[Explained]:
        """The same with the activation maps of the instances.

        Raises:
            InputError: the backend gives no activation maps.
        """
        batches = self._over(self._explaining, score)
        joined = join_cuts(cuts, batches.explained, partial(one_of_explained, least_piece=self._least_piece))
        for instances, maps in joined:
            yield self.named(instances), maps[np.argsort(-instances.scores, kind="stable")]

    def named(self, instances: Instances) -> Instances:
        """What was found in an image as it is given out: with the names of the classes, best score first."""
        return replace(instances, classes=self.classes).best_first()

    def batches(self, score: float | None = None, *, sparing: bool = False) -> Batches:
        """What finds instances in prepared images: the step between `cut` and the joining of tiles."""
        backend = self._sure if score is None or score >= self.score else self.backend
        return self._over(backend, score, calls=1 if sparing else getattr(backend, "calls_at_once", 1))

    def _over(self, backend: Backend, score: float | None, *, calls: int = 1) -> Batches:
        lowest = self.score if score is None else score
        return Batches(backend, size=self.batch, score=lowest, max_instances=self.max_instances, calls=calls)

    @property
    def _least_piece(self) -> float:
        return self.backend.config.postprocess.least_piece

    @cached_property
    def _sure(self) -> Backend:
        """The backend where nothing below the pipeline's own score is asked for."""
        return self.backend.with_least_score(self.score) if isinstance(self.backend, TorchBackend) else self.backend

    @cached_property
    def _explaining(self) -> Backend:
        """The backend with activation maps, where that is for us to choose."""
        return self.backend.with_activation() if isinstance(self.backend, EagerBackend) else self.backend


def _known_config(model: SparseInst | Backend | str | Path) -> ModelConfig | None:
    """The settings of a network, before it is loaded; None where only loading it can tell."""
    if not isinstance(model, str | Path):
        return model.config
    return None if is_exported(model) else known_config(model)


def _array_of(image: Tensor, channels: int) -> NDArray[Any]:
    """A tensor (C, H, W) as an array (H, W, C) of 8 bits."""
    if image.ndim != 3 or image.shape[0] not in ((1, RGB) if channels == RGB else (channels,)):
        grey = " or (1, H, W)" if channels == RGB else ""
        raise InputError(
            f"expected a tensor ({channels}, H, W){grey}, got {tuple(image.shape)}: put channels first; several images "
            f"are a list, or one tensor (B, {channels}, H, W)"
        )
    if image.is_floating_point():
        if image.numel() and not 0 <= float(image.min()) <= float(image.max()) <= 1:
            raise InputError(
                f"expected a floating tensor in 0..1, got {float(image.min()):g}..{float(image.max()):g}: divide by "
                "its range, or give uint8"
            )
        image = (image * 255).round()
    elif image.dtype != torch.uint8:
        raise InputError(f"expected a tensor of uint8, or floating in 0..1, got {image.dtype}: convert it")
    return image.to("cpu", torch.uint8).permute(1, 2, 0).numpy()


def _with_frame(preprocess: PreprocessConfig, frame: tuple[int, int] | None) -> PreprocessConfig:
    if frame is None or frame == preprocess.frame_hw:
        return preprocess
    return type(preprocess).model_validate({**preprocess.model_dump(), "frame_hw": frame})
