"""Images of any kind in, instances at their original sizes out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sparseinst.config import PreprocessConfig
from sparseinst.data.preprocess import Prepared, prepare, read_image, stack, to_rgb8
from sparseinst.errors import InputError
from sparseinst.inference.backends import Backend, open_backend
from sparseinst.modeling import SparseInst, select
from sparseinst.structures import Instances

AnyImage = str | Path | Image.Image | NDArray[Any]
"""A file, a Pillow image, or an array (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA."""

_LOOKAHEAD = 4
"""Batches of images held at once: among them images of the same padded frame are found."""


class Predictor:
    """Finds instances in images.

    Images are grouped by padded frame, so a result never depends on its batch mates beyond rounding.

    Args:
        model: a network (put in eval mode and moved), a backend, or the name or checkpoint file of a network.
        device: where a network runs: None is where it is (cpu for a name or file); a backend has chosen already.
        half: compute in 16 bits (a backend has chosen already).
        batch: images at once.
        score: lowest score to keep; None takes the one that comes with the checkpoint.

    Attributes:
        backend: what runs the network.
        preprocess: how images are brought to it.

    Raises:
        InputError: no such model or device; batch or score out of range.

    Example:
        `Predictor("nuclei")("cells.png").boxes`
    """

    def __init__(
        self,
        model: SparseInst | Backend | str | Path,
        *,
        device: str | torch.device | None = None,
        half: bool = False,
        batch: int = 1,
        score: float | None = None,
    ) -> None:
        if batch < 1:
            raise InputError(f"batch must be at least 1, got {batch}: give the number of images at once")
        if score is not None and not 0 <= score <= 1:
            raise InputError(f"score must be in 0..1, got {score}: give the lowest score to keep")
        if isinstance(model, str | Path | SparseInst):
            model = open_backend("torch", model, device=device, half=half)
        self.backend = model
        self.batch = batch
        self.score = model.metadata.postprocess.score if score is None else score
        self.preprocess = _with_frame(model.metadata.preprocess, model.frame)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label."""
        return self.backend.metadata.classes

    @property
    def lookahead(self) -> int:
        """How many images to prepare at once: several batches, so that equal frames meet; 1 without batches."""
        return 1 if self.batch == 1 else self.batch * _LOOKAHEAD

    @overload  # a str is a sequence of str, too; it is one image
    def __call__(self, images: AnyImage) -> Instances: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, images: Sequence[AnyImage]) -> list[Instances]: ...
    def __call__(self, images: AnyImage | Sequence[AnyImage]) -> Instances | list[Instances]:
        """One image gives its instances; a list or tuple of images gives a list, in its order.

        Raises:
            InputError: an image cannot be read or is no image.
        """
        if not isinstance(images, list | tuple):
            return self.segment([self.prepare(images)])[0]  # type: ignore[arg-type]
        found: list[Instances] = []
        window = self.lookahead
        for start in range(0, len(images), window):
            found += self.segment([self.prepare(image) for image in images[start : start + window]])
        return found

    def read(self, image: AnyImage) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of an image of any kind, under the intensity policy of the network."""
        intensity = self.preprocess.intensity
        return read_image(image, intensity) if isinstance(image, str | Path) else to_rgb8(image, intensity)

    def prepare(self, image: AnyImage) -> Prepared:
        """The image as the network takes it (work that can be done in other processes)."""
        return prepare(self.read(image), self.preprocess)

    def segment(self, prepared: Sequence[Prepared]) -> list[Instances]:
        """Instances of prepared images, in their order; those whose mask is empty at the original size are left out."""
        post = self.backend.metadata.postprocess
        found: list[Instances | None] = [None] * len(prepared)
        for indices in self._batches(prepared):
            chosen = [prepared[index] for index in indices]
            selected = select(
                self.backend(*stack(chosen)),
                [item.frame for item in chosen],
                gate=post.gate,
                mask_threshold=post.mask_threshold,
                min_score=self.score,
            )
            for index, instances in zip(indices, selected, strict=True):
                found[index] = instances[instances.areas > 0]
        return [instances for instances in found if instances is not None]

    def _batches(self, prepared: Sequence[Prepared]) -> Iterator[list[int]]:
        groups: dict[tuple[int, int], list[int]] = {}
        for index, item in enumerate(prepared):
            groups.setdefault(item.frame.frame_hw, []).append(index)
        for group in groups.values():
            for start in range(0, len(group), self.batch):
                yield group[start : start + self.batch]


def _with_frame(preprocess: PreprocessConfig, frame: tuple[int, int] | None) -> PreprocessConfig:
    if frame is None or frame == preprocess.frame_hw:
        return preprocess
    return PreprocessConfig.model_validate({**preprocess.model_dump(), "frame_hw": frame})
