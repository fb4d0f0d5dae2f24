"""The instances of an image, where everything ends that looks at one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from sparseinst.masks import rle

if TYPE_CHECKING:
    import pandas as pd


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
