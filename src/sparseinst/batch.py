"""What a network learns from: images of one padded frame, and their instances."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


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
