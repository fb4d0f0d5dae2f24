"""The values that flow from images to masks.

The alphabet of shapes, used everywhere: B batch, N slots, C classes, D channels, T targets, G groups, n instances kept,
H W input pixels, h w mask grid (input divided by the mask stride, 4 as published).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseinst.masks import rle
from sparseinst.masks.grid import Patches

if TYPE_CHECKING:
    import pandas as pd


class Predictions(NamedTuple):
    """What the network gives, before any threshold."""

    logits: Tensor
    """(B, N, C) class logits."""
    masks: Tensor
    """(B, N, h, w) mask logits at the mask stride."""
    objectness: Tensor | None
    """(B, N, 1) IoU-aware objectness logits; None from a network without that head."""
    activation: Tensor
    """(B, G*N, h/2, w/2) logits of the instance activation maps, group g of slot n at g*N + n."""


class Candidates(NamedTuple):
    """All N slots scored: in fixed shapes what a compiled or exported network gives."""

    scores: Tensor
    """(B, N) in 0..1, after rescoring by the mask."""
    labels: Tensor
    """(B, N) int64 index of the best class."""
    masks: Tensor | tuple[Patches, ...]
    """(B, N, h, w) mask probabilities at the mask stride; or B times the parts that matter."""
    raw_scores: Tensor
    """(B, N) in 0..1, the score before rescoring by the mask, which the threshold `gate` is compared with."""
    activation: Tensor | None = None
    """(B, G*N, h/2, w/2) logits of the activation maps, where they were asked for; as in `Predictions`."""


@dataclass(frozen=True, eq=False)  # arrays have no truth value to compare by
class Targets:
    """The instances of one training image, on the mask grid of its padded frame.

    Args:
        labels: (T,) int64 class indices.
        masks: (T, h, w) floating, 0..1, reduced from full resolution to the mask stride (soft at edges).
    """

    labels: Tensor
    masks: Tensor

    def __post_init__(self) -> None:
        if self.labels.ndim != 1 or self.labels.dtype != torch.int64:
            raise ValueError(
                f"labels must be (T,) int64, got {tuple(self.labels.shape)} {self.labels.dtype}: convert them first"
            )
        if self.masks.ndim != 3 or not self.masks.is_floating_point() or len(self.masks) != len(self.labels):
            raise ValueError(
                f"masks must be ({len(self.labels)}, h, w) floating, got {tuple(self.masks.shape)} {self.masks.dtype}: "
                "give one mask for each label"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | Tensor) -> Self:
        return type(self)(self.labels[index], self.masks[index])

    @classmethod
    def empty(cls, size_hw: tuple[int, int]) -> Self:
        """No instance on a mask grid of (h, w)."""
        return cls(torch.zeros(0, dtype=torch.int64), torch.zeros(0, *size_hw))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """The same on another device, masks as float32."""
        masks = self.masks.to(device, non_blocking=non_blocking).float()
        return type(self)(self.labels.to(device, non_blocking=non_blocking), masks)


@dataclass(frozen=True, eq=False)  # arrays have no truth value to compare by
class Batch:
    """Training images padded to one frame, with their targets.

    Args:
        images: (B, channels, H, W) uint8; what lies outside `resized_hw` is padding of any value.
        resized_hw: (B, 2) int64 height and width of each image within the frame.
        targets: B targets on the mask grid of the frame.
        image_ids: B ids, as in the annotation file.
    """

    images: Tensor
    resized_hw: Tensor
    targets: tuple[Targets, ...]
    image_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        count = len(self.images)
        if self.images.ndim != 4:
            raise ValueError(f"images must be (B, channels, H, W), got {tuple(self.images.shape)}: stack images")
        if tuple(self.resized_hw.shape) != (count, 2):
            raise ValueError(f"resized_hw must be ({count}, 2), got {tuple(self.resized_hw.shape)}: one size an image")
        if len(self.targets) != count or len(self.image_ids) != count:
            raise ValueError(
                f"expected {count} targets and ids, got {len(self.targets)} and {len(self.image_ids)}: one an image"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice) -> Self:
        return type(self)(self.images[index], self.resized_hw[index], self.targets[index], self.image_ids[index])

    @classmethod
    def empty(cls, frame_hw: tuple[int, int]) -> Self:
        """No image in a frame of (H, W)."""
        return cls(torch.zeros(0, 3, *frame_hw, dtype=torch.uint8), torch.zeros(0, 2, dtype=torch.int64), (), ())

    def pin_memory(self) -> Self:
        """The same in page-locked memory (called by torch's data loader)."""
        targets = tuple(Targets(t.labels.pin_memory(), t.masks.pin_memory()) for t in self.targets)
        return type(self)(self.images.pin_memory(), self.resized_hw.pin_memory(), targets, self.image_ids)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """The same on another device; images stay uint8."""
        return type(self)(
            self.images.to(device, non_blocking=non_blocking),
            self.resized_hw.to(device, non_blocking=non_blocking),
            tuple(target.to(device, non_blocking=non_blocking) for target in self.targets),
            self.image_ids,
        )


@dataclass(frozen=True, eq=False)  # arrays have no truth value to compare by
class Instances:
    """The instances found in one image; masks stay encoded until they are asked for.

    Args:
        scores: (n,) float32 in 0..1.
        labels: (n,) int64 class indices.
        rles: n compressed COCO run-length encodings over the whole image.
        slots: (n,) int64 slot that each came from; it leads to the activation maps (see `activation.activation_maps`).
        size_hw: height and width of the original image.
        classes: class names by label; empty where nobody has named them.
        full: whether all places for instances were taken, so that there may be more in the image (see `Predictor`).
    """

    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    rles: tuple[bytes, ...]
    slots: NDArray[np.int64]
    size_hw: tuple[int, int]
    full: bool = False
    classes: tuple[str, ...] = ()
    _cache: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        shape = (len(self.rles),)
        for name in ("scores", "labels", "slots"):
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} must be {shape}, got {getattr(self, name).shape}: one for each of the encoded masks"
                )

    def __len__(self) -> int:
        return len(self.rles)

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Self: ...
    @overload
    def __getitem__(self, index: slice | NDArray[np.bool_] | NDArray[np.int64] | Sequence[int]) -> Self: ...
    def __getitem__(
        self, index: int | np.integer[Any] | slice | NDArray[np.bool_] | NDArray[np.int64] | Sequence[int]
    ) -> Self:
        """Part of the instances: by number (one instance), slice, boolean mask or list of numbers."""
        order = np.arange(len(self))[[int(index)] if isinstance(index, int | np.integer) else index]
        rles = tuple(self.rles[i] for i in order)
        return replace(
            self, scores=self.scores[order], labels=self.labels[order], rles=rles, slots=self.slots[order], _cache={}
        )

    @classmethod
    def joined(cls, parts: Sequence["Instances"], size_hw: tuple[int, int]) -> Self:
        """Instances of one image of (height, width), one part after the other."""
        return cls(
            np.concatenate([np.zeros(0, np.float32), *(part.scores for part in parts)]),
            np.concatenate([np.zeros(0, np.int64), *(part.labels for part in parts)]),
            tuple(chain.from_iterable(part.rles for part in parts)),
            np.concatenate([np.zeros(0, np.int64), *(part.slots for part in parts)]),
            size_hw,
            full=any(part.full for part in parts),
            classes=parts[0].classes if parts else (),
        )

    @classmethod
    def empty(cls, size_hw: tuple[int, int]) -> Self:
        """No instance in an image of (height, width)."""
        none = np.zeros(0, np.int64)
        return cls(np.zeros(0, np.float32), none, (), none, size_hw)

    def __repr__(self) -> str:
        height, width = self.size_hw
        names, counts = np.unique(self.names, return_counts=True)
        found = ", ".join(f"{counts[i]} {names[i]}" for i in np.argsort(-counts, kind="stable"))
        scores = f", scores {self.scores.min():.2f} to {self.scores.max():.2f}" if len(self) else ""
        return f"Instances({found or 'none'} in {height} x {width}{scores})"

    @property
    def names(self) -> list[str]:
        """Class name of each; its label in digits where classes have no names."""
        return [self.classes[label] if self.classes else str(label) for label in self.labels]

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(n, height, width) dense masks, decoded anew at each call."""
        return rle.decode(self.rles, self.size_hw)

    @property
    def areas(self) -> NDArray[np.float64]:
        """(n,) mask areas in pixels."""
        if "areas" not in self._cache:
            self._cache["areas"] = rle.areas(self.rles, self.size_hw)
        return self._cache["areas"]

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(n, 4) boxes x0, y0, x1, y1 in pixels (end exclusive) around the masks; zeros for an empty mask."""
        if "boxes" not in self._cache:
            self._cache["boxes"] = rle.boxes_xyxy(self.rles, self.size_hw)
        return self._cache["boxes"]

    def measure(self, image: "NDArray[Any] | str | Path", **options: Any) -> "pd.DataFrame":
        """What they measure in an image, (H, W) or (H, W, C) or a file, as a table: see `cells.measuring.measure`."""
        return import_module("sparseinst.cells.measuring").measure(self, image, **options)

    def polygons(self) -> list[list[NDArray[np.int32]]]:
        """For each instance the outer contours of its parts, each (points, 2) as x, y in pixels."""
        return [rle.polygons(code, self.size_hw) for code in self.rles]

    def best_first(self) -> Self:
        """The same by score, the highest first."""
        return self[np.argsort(-self.scores, kind="stable")]

    def plot(self, image: NDArray[np.uint8], *, scale: int = 1) -> NDArray[np.uint8]:
        """A picture of the instances over the image in which they were found: see `drawing.draw`."""
        return import_module("sparseinst.drawing.instances").draw(image, self, scale=scale)  # type: ignore[no-any-return]

    def save(self, path: str | Path, image: NDArray[np.uint8] | None = None) -> Path:
        """Writes them as JSON, table, label image or picture, as the suffix says: see `inference.writers.save`."""
        return import_module("sparseinst.inference.writers").save(self, path, image)  # type: ignore[no-any-return]

    def summary(self) -> list[dict[str, Any]]:
        """Of each id, class, score, box, area and mask, as plain values: see `inference.description.describe`."""
        return import_module("sparseinst.inference.description").describe(self)["instances"]  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """The same as JSON text, with the size of the image."""
        return json.dumps(import_module("sparseinst.inference.description").describe(self), ensure_ascii=False)

    def to_dataframe(self) -> "pd.DataFrame":
        """A table, one row an instance: see `inference.description.to_dataframe`."""
        return import_module("sparseinst.inference.description").to_dataframe(self)
