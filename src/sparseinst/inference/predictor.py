"""Images of any kind in, instances at their original sizes out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparseinst.activation import ActivationMaps, activation_maps
from sparseinst.config import PreprocessConfig
from sparseinst.data.preprocess import Prepared, read_image, to_rgb8
from sparseinst.errors import InputError
from sparseinst.inference.backends import Backend, open_backend
from sparseinst.inference.exported import Exported
from sparseinst.inference.limits import at_most, limited
from sparseinst.inference.pipeline import feed_for
from sparseinst.inference.scaling import FrameWatch, at_scale
from sparseinst.inference.streaming import Found, stream
from sparseinst.inference.tiles import (
    Cut,
    Explained,
    Tiling,
    cut,
    one_of_explained,
    one_of_tiles,
    own_tiling,
    segment_cuts,
)
from sparseinst.inference.torch_backend import EagerBackend, TorchBackend
from sparseinst.inference.video_source import RATE, Source
from sparseinst.modeling import SparseInst, begin_select
from sparseinst.structures import Frame, Instances

AnyImage = str | Path | Image.Image | NDArray[Any]
"""A file, a Pillow image, or an array (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA."""

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
        tile: side in pixels of the tiles that larger images are cut into and brought together from (see `merging`), for
            many or small objects; `batch` then counts tiles. None cuts what is too large for one pass at native scale
            (see `own_tiling`), 0 nothing.
        overlap: pixels that neighbouring tiles share at least, about the size of most objects; None is a quarter tile.
        scale: network pixels for each pixel of the image, in place of that of a network at native scale.
        diameter: or that of most objects in pixels of the image, from which the scale follows (see `at_scale`).
        max_instances: most instances in an image (in a tile of one that is cut): a network of seeds looks for as many;
            of slots or an exported file, which hold no more than they do, the best are kept. None is what the network's
            settings say. `Instances.full` tells where all places were taken.

    Attributes:
        backend: what runs the network.
        preprocess: how images are brought to it.
        tiling: how images are cut, if that was asked for.
        cuts_itself: whether those are cut that are too large for one pass.
        frame_watch: warns where a fixed frame cannot hold an image.

    Raises:
        InputError: no such model or device; batch, score, tile or overlap out of range; a scale that cannot be; more
            instances than the network or file can find.

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
        self.backend, self.max_instances = model, max_instances
        self.batch = batch
        self.score = model.metadata.postprocess.score if score is None else score
        framed = _with_frame(model.metadata.preprocess, model.frame)
        self.preprocess = at_scale(framed, scale=scale, diameter=diameter)
        self.cuts_itself = tile != 0
        self.tiling = Tiling.of(tile or None, overlap, self.preprocess)
        self.frame_watch = FrameWatch(self.preprocess)
        self._feed = feed_for(model)

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
            return next(self.results([self.cut(images)]))  # type: ignore[arg-type]
        return list(self.results(map(self.cut, images)))

    def stream(self, source: Source, *, skip: bool = False, fps: float = RATE) -> Iterator[Found]:
        """The frames of a video, in order, each with its instances; frames to come are decoded meanwhile.

        Args:
            source: a video file, a camera (0), the URL of a stream, images in a row, or arrays (see `open_video`).
            skip: what comes while the network is busy is dropped, but for the newest frame; a file is then gone
                through at its own pace.
            fps: frames a second of images in a row.

        Raises:
            InputError: the video cannot be read.

        Example:
            `for frame, instances in Predictor("nuclei").stream("cells.mp4"):`, with `frame.image`, `frame.seconds`.
        """
        return stream(self, source, skip=skip, fps=fps)

    @overload
    def explain(self, images: AnyImage) -> Explained: ...  # type: ignore[overload-overlap]
    @overload
    def explain(self, images: Sequence[AnyImage]) -> list[Explained]: ...
    def explain(self, images: AnyImage | Sequence[AnyImage]) -> Explained | list[Explained]:
        """The instances of an image, and which pixels spoke for each: its activation maps.

        `instances.slots` is what leads from an instance to its maps; here that has been done (see `activation_maps`
        for doing it with a network's own output). Of an image that is cut they are those of the tile that saw most of
        the object.

        Args:
            images: one image, or a list or tuple of images, which gives a list, in its order.

        Raises:
            InputError: an image cannot be read or is none, or the backend gives no activation maps.

        Example:
            `instances, maps = Predictor("nuclei").explain("cells.png")`, then `maps.upsampled(3)` is (G, height, width)
            for `instances[3]`, and `draw_activation(image, instances, maps, classes)` a picture of all.
        """
        if not isinstance(images, list | tuple):
            return next(self.results_with_maps([self.cut(images)]))  # type: ignore[arg-type]
        return list(self.results_with_maps(map(self.cut, images)))

    @property
    def explains(self) -> bool:
        """Whether what runs the network gives activation maps, too."""
        exported: Exported | None = getattr(self.backend, "exported", None)
        return isinstance(self.backend, EagerBackend) or (exported is not None and exported.activation)

    def read(self, image: AnyImage) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of an image of any kind, under the intensity policy of the network."""
        intensity = self.preprocess.intensity
        return read_image(image, intensity) if isinstance(image, str | Path) else to_rgb8(image, intensity)

    def prepare(self, image: AnyImage) -> Prepared:
        """The image as the network takes it; where the network runs on a GPU, that does the work, later."""
        pixels = self.read(image)
        self.frame_watch.see((pixels.shape[0], pixels.shape[1]))
        return self._feed.prepare(pixels, self.preprocess)

    def cut(self, image: AnyImage) -> Cut:
        """The image as the network takes it: whole or in tiles (see `tiling_of`), each prepared when its turn comes."""
        pixels = self.read(image)
        return cut(pixels, self.tiling_of((pixels.shape[0], pixels.shape[1])), self.prepare)

    def tiling_of(self, size_hw: tuple[int, int]) -> Tiling | None:
        """How an image of (height, width) is cut: as was asked for, else where one pass would be too large."""
        return own_tiling(size_hw, self.preprocess) if self.tiling is None and self.cuts_itself else self.tiling

    def results(self, cuts: Iterable[Cut], *, score: float | None = None) -> Iterator[Instances]:
        """Instances of each image, in their order: images are asked for as their turn comes, a few batches ahead.

        Args:
            cuts: the images.
            score: lowest score to keep of these; None is that of the predictor.
        """
        begin = partial(self._begin_segment, score=score)
        join = partial(one_of_tiles, least_piece=self.backend.metadata.postprocess.least_piece)
        return segment_cuts(cuts, lambda parts: self._over(parts, begin), join)

    def results_with_maps(self, cuts: Iterable[Cut], *, score: float | None = None) -> Iterator[Explained]:
        """The same with the activation maps of the instances (see `segment_with_maps`)."""
        begin = partial(self._begin_segment_with_maps, score=score)
        join = partial(one_of_explained, least_piece=self.backend.metadata.postprocess.least_piece)
        return segment_cuts(cuts, lambda parts: self._over(parts, begin), join)

    def segment(self, prepared: Sequence[Prepared]) -> list[Instances]:
        """Instances of prepared images, in their order; those whose mask is empty at the original size are left out."""
        return self._begin_segment(prepared)()

    def segment_with_maps(self, prepared: Sequence[Prepared]) -> list[Explained]:
        """The same with the activation maps of the instances.

        Raises:
            InputError: the backend gives no activation maps.
        """
        return self._begin_segment_with_maps(prepared)()

    def _begin_segment(self, prepared: Sequence[Prepared], score: float | None = None) -> Callable[[], list[Instances]]:
        """Starts `segment`; what it returns waits for its result."""
        found = self._begin(self._sure if score is None or score >= self.score else self.backend, prepared, score)
        return lambda: [instances for instances, _ in found()]

    def _begin_segment_with_maps(
        self, prepared: Sequence[Prepared], score: float | None = None
    ) -> Callable[[], list[Explained]]:
        """Starts `segment_with_maps`; what it returns waits for its result."""
        found = self._begin(self._explaining, prepared, score)
        return lambda: [
            (instances, self._maps(instances, logits, item.frame))
            for item, (instances, logits) in zip(prepared, found(), strict=True)
        ]

    def _maps(self, instances: Instances, logits: Tensor | None, frame: Frame) -> ActivationMaps:
        decoder = self.backend.metadata.decoder
        if logits is None:
            raise InputError(
                f"expected a backend that gives activation maps, got {type(self.backend).__name__} without: "
                "take the network itself (a preset or .safetensors), or export it with its activation maps"
            )
        return activation_maps(logits, instances.slots, frame, groups=decoder.groups, activation=decoder.activation)

    @cached_property
    def _sure(self) -> Backend:
        """The backend where nothing below the predictor's own score is asked for."""
        return self.backend.with_least_score(self.score) if isinstance(self.backend, TorchBackend) else self.backend

    @cached_property
    def _explaining(self) -> Backend:
        """The backend with activation maps, where that is for us to choose."""
        return self.backend.with_activation() if isinstance(self.backend, EagerBackend) else self.backend

    def _over(
        self, prepared: Iterable[Prepared], begin: Callable[[Sequence[Prepared]], Callable[[], list[_Result]]]
    ) -> Iterator[_Result]:
        """What `begin` starts for all images, a few batches at a time: a GPU does some, the host prepares others."""
        images = iter(prepared)
        finish: Callable[[], list[_Result]] = list
        while window := list(islice(images, self.lookahead)):
            started = begin(window)
            yield from finish()
            finish = started
        yield from finish()

    def _begin(
        self, backend: Backend, prepared: Sequence[Prepared], score: float | None
    ) -> Callable[[], list[tuple[Instances, Tensor | None]]]:
        """Starts all batches; what it returns waits for each image's instances, with its activation logits if any."""
        post = backend.metadata.postprocess
        started = []
        for indices in self._batches(prepared):
            chosen = [prepared[index] for index in indices]
            candidates = backend(*self._feed.stack(chosen))
            selecting = begin_select(
                candidates,
                [item.frame for item in chosen],
                gate=post.gate,
                mask_threshold=post.mask_threshold,
                min_score=self.score if score is None else score,
                least_piece=post.least_piece,
            )
            started.append((indices, selecting, candidates.activation))

        def finish() -> list[tuple[Instances, Tensor | None]]:
            found: dict[int, tuple[Instances, Tensor | None]] = {}
            for indices, selecting, logits in started:
                for place, (index, instances) in enumerate(zip(indices, selecting(), strict=True)):
                    frame_hw = prepared[index].frame.frame_hw
                    kept = limited(instances, backend.metadata.decoder, frame_hw, self.max_instances)
                    found[index] = kept[kept.areas > 0], None if logits is None else logits[place]
            return [found[index] for index in range(len(prepared))]

        return finish

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
    return type(preprocess).model_validate({**preprocess.model_dump(), "frame_hw": frame})
