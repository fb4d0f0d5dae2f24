"""The steps from an image of any kind to its instances: read, cut, batch, join. All that predicts goes through here."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparseinst.config import PreprocessConfig
from sparseinst.data.geometry import Prepared, prepare
from sparseinst.data.images import read_image, to_rgb8
from sparseinst.errors import InputError
from sparseinst.inference.batches import Batches, Explained
from sparseinst.inference.limits import at_most
from sparseinst.inference.scaling import FrameWatch, at_scale
from sparseinst.inference.tiles import Cut, Tiling, cut, join_cuts, one_of_explained, one_of_tiles, own_tiling
from sparseinst.modeling import SparseInst
from sparseinst.runtime.backends import Backend, open_backend
from sparseinst.runtime.exported import Exported
from sparseinst.runtime.torch_backend import EagerBackend, TorchBackend
from sparseinst.structures import Instances

AnyImage = str | Path | bytes | Image.Image | NDArray[Any] | Tensor
"""A file or its content, a Pillow image, an array (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, or a tensor
(3, H, W) or (1, H, W) of any device, uint8 or floating in 0..1.
"""


class Pipeline:
    """What `Predictor` and every command that predicts are made of; the arguments are those of `Predictor`.

    Attributes:
        backend: what runs the network.
        preprocess: how images are brought to it.
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
        diameter: float | None = None,
        max_instances: int | None = None,
    ) -> None:
        if batch < 1:
            raise InputError(f"batch must be at least 1, got {batch}: give the number of images at once")
        if score is not None and not 0 <= score <= 1:
            raise InputError(f"score must be in 0..1, got {score}: give the lowest score to keep")
        if isinstance(model, str | Path | SparseInst):
            model = open_backend(model, device=device, half=half, max_instances=max_instances)
        if max_instances is not None:
            model = at_most(model, max_instances)
        self.backend, self.max_instances, self.batch = model, max_instances, batch
        self.score = model.config.postprocess.score if score is None else score
        self.preprocess = at_scale(_with_frame(model.config.preprocess, model.frame), scale=scale, diameter=diameter)
        self.cuts_itself = tile != 0
        self.tiling = Tiling.of(tile or None, overlap, self.preprocess)
        self.frame_watch = FrameWatch(self.preprocess)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label."""
        return self.backend.config.classes

    @property
    def lookahead(self) -> int:
        """How many images it is worth to read ahead."""
        return self.batches().lookahead

    @property
    def explains(self) -> bool:
        """Whether what runs the network gives activation maps, too."""
        exported: Exported | None = getattr(self.backend, "exported", None)
        return isinstance(self.backend, EagerBackend) or (exported is not None and exported.activation)

    def read(self, image: AnyImage) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of an image of any kind, under the intensity policy of the network."""
        intensity = self.preprocess.intensity
        if isinstance(image, str | Path | bytes):
            return read_image(image, intensity)
        return to_rgb8(_array_of(image) if isinstance(image, Tensor) else image, intensity)

    def prepare(self, pixels: NDArray[np.uint8]) -> Prepared:
        """(H, W, 3) uint8 RGB resized for the network; a fixed frame that cannot hold it is warned of."""
        self.frame_watch.see((pixels.shape[0], pixels.shape[1]))
        return prepare(pixels, self.preprocess)

    def cut(self, image: AnyImage) -> Cut:
        """The image as the network takes it: whole or in tiles (see `tiling_of`), each prepared when its turn comes."""
        pixels = self.read(image)
        return cut(pixels, self.tiling_of((pixels.shape[0], pixels.shape[1])), self.prepare)

    def tiling_of(self, size_hw: tuple[int, int]) -> Tiling | None:
        """How an image of (height, width) is cut: as was asked for, else where one pass would be too large."""
        return own_tiling(size_hw, self.preprocess) if self.tiling is None and self.cuts_itself else self.tiling

    def found(self, cuts: Iterable[Cut], *, score: float | None = None) -> Iterator[Instances]:
        """Instances of each image, in their order, best first; images are asked for as their turn comes, a few ahead.

        Args:
            cuts: the images.
            score: lowest score to keep of these; None is that of the pipeline.
        """
        joined = join_cuts(cuts, self.batches(score).found, partial(one_of_tiles, least_piece=self._least_piece))
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

    def batches(self, score: float | None = None) -> Batches:
        """What finds instances in prepared images: the step between `cut` and the joining of tiles."""
        return self._over(self._sure if score is None or score >= self.score else self.backend, score)

    def _over(self, backend: Backend, score: float | None) -> Batches:
        lowest = self.score if score is None else score
        return Batches(backend, size=self.batch, score=lowest, max_instances=self.max_instances)

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


def _array_of(image: Tensor) -> NDArray[Any]:
    """A tensor (C, H, W) as an array (H, W, C) of 8 bits."""
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise InputError(
            f"expected a tensor (3, H, W) or (1, H, W), got {tuple(image.shape)}: put channels first; several images "
            "are a list, or one tensor (B, 3, H, W)"
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
