"""Images of any kind in, instances at their original sizes out."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparseinst.activation import ActivationMaps, activation_maps
from sparseinst.config import PreprocessConfig
from sparseinst.data.preprocess import Prepared, prepare, read_image, stack, to_rgb8
from sparseinst.errors import InputError
from sparseinst.inference.backends import Backend, TorchBackend, open_backend
from sparseinst.modeling import SparseInst, select
from sparseinst.structures import Instances

AnyImage = str | Path | Image.Image | NDArray[Any]
"""A file, a Pillow image, or an array (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA."""

Explained = tuple[Instances, ActivationMaps]
"""The instances of an image and, in the same order, their activation maps."""

_Result = TypeVar("_Result")

_LOOKAHEAD = 4
"""Batches of images held at once: among them images of the same padded frame are found."""


class Predictor:
    """Finds instances in images.

    Images are grouped by padded frame, so a result never depends on its batch mates beyond rounding.

    Args:
        model: a network (in float32; it is left as it is), a backend, the name or checkpoint file of a network, or an
            exported file.
        device: where it runs: None is where a network is, cpu for a name or checkpoint, and the best that its runtime
            has for an exported file; a backend has chosen already.
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
            model = open_backend(model, device=device, half=half)
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
        return self._over(images, self.segment)

    @overload
    def explain(self, images: AnyImage) -> Explained: ...  # type: ignore[overload-overlap]
    @overload
    def explain(self, images: Sequence[AnyImage]) -> list[Explained]: ...
    def explain(self, images: AnyImage | Sequence[AnyImage]) -> Explained | list[Explained]:
        """The instances of an image, and which pixels spoke for each: its activation maps.

        `instances.slots` is what leads from an instance to its maps; here that has been done (see `activation_maps`
        for doing it with a network's own output).

        Args:
            images: one image, or a list or tuple of images, which gives a list, in its order.

        Raises:
            InputError: an image cannot be read or is no image; or the backend gives no activation maps.

        Example:
            `instances, maps = Predictor("nuclei").explain("cells.png")`, then `maps.upsampled(3)` is (G, height, width)
            for `instances[3]`, and `draw_activation(image, instances, maps, classes)` a picture of all.
        """
        if not isinstance(images, list | tuple):
            return self.segment_with_maps([self.prepare(images)])[0]  # type: ignore[arg-type]
        return self._over(images, self.segment_with_maps)

    def read(self, image: AnyImage) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of an image of any kind, under the intensity policy of the network."""
        intensity = self.preprocess.intensity
        return read_image(image, intensity) if isinstance(image, str | Path) else to_rgb8(image, intensity)

    def prepare(self, image: AnyImage) -> Prepared:
        """The image as the network takes it (work that can be done in other processes)."""
        return prepare(self.read(image), self.preprocess)

    def segment(self, prepared: Sequence[Prepared]) -> list[Instances]:
        """Instances of prepared images, in their order; those whose mask is empty at the original size are left out."""
        found = {index: instances for index, instances, _ in self._found(self.backend, prepared)}
        return [found[index] for index in range(len(prepared))]

    def segment_with_maps(self, prepared: Sequence[Prepared]) -> list[Explained]:
        """The same with the activation maps of the instances.

        Raises:
            InputError: the backend gives no activation maps.
        """
        decoder = self.backend.metadata.decoder
        explained: dict[int, Explained] = {}
        for index, instances, logits in self._found(self._explaining, prepared):
            if logits is None:
                raise InputError(
                    f"expected a backend that gives activation maps, got {type(self.backend).__name__} without: "
                    "take the network itself (a preset or .safetensors), or export it with its activation maps"
                )
            maps = activation_maps(
                logits, instances.slots, prepared[index].frame, groups=decoder.groups, activation=decoder.activation
            )
            explained[index] = instances, maps
        return [explained[index] for index in range(len(prepared))]

    @cached_property
    def _explaining(self) -> Backend:
        """The backend with activation maps, where that is for us to choose."""
        return self.backend.with_activation() if isinstance(self.backend, TorchBackend) else self.backend

    def _over(self, images: Sequence[AnyImage], work: Callable[[Sequence[Prepared]], list[_Result]]) -> list[_Result]:
        """What `work` gives for all images, prepared a few batches at a time."""
        results: list[_Result] = []
        window = self.lookahead
        for start in range(0, len(images), window):
            results += work([self.prepare(image) for image in images[start : start + window]])
        return results

    def _found(self, backend: Backend, prepared: Sequence[Prepared]) -> Iterator[tuple[int, Instances, Tensor | None]]:
        """For each image, in the order of batches: its number, its instances, and its activation logits if any."""
        post = backend.metadata.postprocess
        for indices in self._batches(prepared):
            chosen = [prepared[index] for index in indices]
            candidates = backend(*stack(chosen))
            selected = select(
                candidates,
                [item.frame for item in chosen],
                gate=post.gate,
                mask_threshold=post.mask_threshold,
                min_score=self.score,
            )
            for place, (index, instances) in enumerate(zip(indices, selected, strict=True)):
                logits = None if candidates.activation is None else candidates.activation[place]
                yield index, instances[instances.areas > 0], logits

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
