"""Images of any kind in, instances at their original sizes out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Unpack, overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sparseinst.data.video.source import RATE, Source
from sparseinst.errors import listed
from sparseinst.inference.batches import Explained
from sparseinst.inference.options import PipelineOptions, check_score, labels_of
from sparseinst.inference.pipeline import AnyImage, Pipeline
from sparseinst.inference.streaming import Found, stream
from sparseinst.modeling.budget import check_most
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.backends import Backend
from sparseinst.structures import Instances


class Predictor:
    """Finds instances in images.

    Images are grouped by padded frame, so a result never depends on its batch mates beyond rounding.

    Args:
        model: a network (in float32; it is left as it is), a backend, the name or checkpoint file of a network, or an
            exported file.
        score: lowest score to keep; None takes the one that comes with the checkpoint.
        **options: how images are looked at: device, half, batch, tile, overlap, scale, diameter, max_instances; each is
            described by `PipelineOptions`.

    Attributes:
        pipeline: the steps, for who wants to take them one by one.
        backend: what runs the network.
        classes: class names by label.
        score: lowest score that is kept, 0..1.

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
        score: float | None = None,
        **options: Unpack[PipelineOptions],
    ) -> None:
        self.pipeline = Pipeline(model, score=score, **options)
        self.backend, self.classes, self.score = self.pipeline.backend, self.pipeline.classes, self.pipeline.score

    @overload  # a str is a sequence of str, too; it is one image
    def __call__(  # type: ignore[overload-overlap]
        self, images: AnyImage, *, score: float | None = None, classes: Sequence[str] | None = None,
        max_instances: int | None = None,
    ) -> Instances: ...  # fmt: skip
    @overload
    def __call__(
        self, images: Sequence[AnyImage], *, score: float | None = None, classes: Sequence[str] | None = None,
        max_instances: int | None = None,
    ) -> list[Instances]: ...  # fmt: skip
    def __call__(
        self,
        images: AnyImage | Sequence[AnyImage],
        *,
        score: float | None = None,
        classes: Sequence[str] | None = None,
        max_instances: int | None = None,
    ) -> Instances | list[Instances]:
        """The instances of an image, best score first; of several images a list, in their order.

        Args:
            images: one image (see `AnyImage`), a list or tuple of images, or a tensor (B, 3, H, W), which are several.
            score: lowest score to keep of these, 0..1; None is that of the predictor.
            classes: names of the classes to keep; None keeps all.
            max_instances: how many of each image to keep at most, the best; None keeps all.

        Raises:
            InputError: an image cannot be read or is none, or an option is out of range.
        """
        chosen = _Choice.of(score, classes, max_instances, self.classes)
        several, items = _listed(images)
        found = self.pipeline.found(map(self.pipeline.cut, items), score=score)
        results = [instances[chosen.of_instances(instances)] for instances in found]
        return results if several else results[0]

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
        return stream(self.pipeline, source, skip=skip, fps=fps)

    @overload
    def explain(self, images: AnyImage, *, score: float | None = None) -> Explained: ...  # type: ignore[overload-overlap]
    @overload
    def explain(self, images: Sequence[AnyImage], *, score: float | None = None) -> list[Explained]: ...
    def explain(
        self, images: AnyImage | Sequence[AnyImage], *, score: float | None = None
    ) -> Explained | list[Explained]:
        """The instances of an image, and which pixels spoke for each: its activation maps.

        `instances.slots` is what leads from an instance to its maps; here that has been done (see `activation_maps`
        for doing it with a network's own output). Of an image that is cut they are those of the tile that saw most of
        the object.

        Args:
            images: one image (see `AnyImage`), a list or tuple of images, or a tensor (B, 3, H, W), which are several.
            score: lowest score to keep of these, 0..1; None is that of the predictor.

        Raises:
            InputError: an image cannot be read or is none, or the backend gives no activation maps.

        Example:
            `instances, maps = Predictor("nuclei").explain("cells.png")`, then `maps.upsampled(3)` is (G, height, width)
            for `instances[3]`, and `draw_activation(image, instances, maps, classes)` a picture of all.
        """
        several, items = _listed(images)
        results = list(self.pipeline.explained(map(self.pipeline.cut, items), score=score))
        return results if several else results[0]

    def __repr__(self) -> str:
        known = listed(self.classes, most=3)
        return f"Predictor({type(self.backend).__name__}, {known}, score {self.score:g})"


def _listed(images: AnyImage | Sequence[AnyImage]) -> tuple[bool, Sequence[AnyImage]]:
    """Whether several images were given, and the images."""
    if isinstance(images, Tensor):
        return (True, list(images)) if images.ndim == 4 else (False, [images])
    return (True, images) if isinstance(images, list | tuple) else (False, [images])  # type: ignore[list-item]


class _Choice(NamedTuple):
    """Which instances of an image are kept."""

    labels: NDArray[np.int64] | None
    most: int | None

    @classmethod
    def of(
        cls, score: float | None, classes: Sequence[str] | None, most: int | None, known: Sequence[str]
    ) -> "_Choice":
        check_score(score)
        check_most(most)
        return cls(labels_of(classes, known), most)

    def of_instances(self, instances: Instances) -> NDArray[np.int64]:
        """The numbers of those kept; the best come first."""
        keep = np.ones(len(instances), bool) if self.labels is None else np.isin(instances.labels, self.labels)
        return np.flatnonzero(keep)[: self.most]
