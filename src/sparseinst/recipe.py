"""Settings of a training run. The defaults are the published ones (the paper's; why, docs/mechanisms.md says)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from sparseinst.config.base import Settings
from sparseinst.config.model import ModelConfig
from sparseinst.config.preprocess import MOST_SIDE_PX


class AugmentConfig(Settings):
    """Random changes of a training image, in the order in which they are applied."""

    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    vertical_flip: float = Field(0.0, ge=0, le=1, description="probability of a vertical flip (microscopes)")
    quarter_turns: bool = Field(False, description="turn by 0, 90, 180 or 270 degrees (microscopes)")
    color: float = Field(0.0, ge=0, lt=1, description="strength of brightness, contrast and saturation jitter")
    photometric: float = Field(
        0.0,
        ge=0,
        le=1,
        description="strength of inversion, tints, curves, blur, noise and JPEG (microscopes)",
    )
    crop: float = Field(0.0, ge=0, le=1, description="probability of the published random crop")
    crop_short_px: tuple[int, ...] = Field((400, 500, 600), description="short sides resized to before that crop")
    crop_px: tuple[int, int] = Field((384, 600), description="smallest and largest side of that crop")
    short_px: tuple[int, ...] = Field(
        (416, 448, 480, 512, 544, 576, 608, 640), description="short sides to choose from (multi-scale training)"
    )
    long_px: int = Field(853, gt=0, le=MOST_SIDE_PX, description="largest long side in multi-scale training")
    jitter: tuple[float, float] | None = Field(
        None,
        description="large-scale jitter instead of multi-scale: range of the scale relative to the size at prediction, "
        "then a random crop or padding to the frame; needs frame_hw; at native scale relative to preprocess.scale and "
        "log-uniform",
    )
    copy_paste: float = Field(
        0.0, ge=0, le=1, description="probability that instances of another training image are pasted in"
    )
    copy_paste_share: float = Field(0.5, gt=0, le=1, description="largest share of that image's instances pasted")
    scaled_jpeg: bool = Field(
        True,
        description="decode a JPEG at 1/2, 1/4 or 1/8 of its size where no size trained at is larger (short sides, "
        "colours): faster, and pixels differ by little",
    )
    tile: int | None = Field(
        None,
        gt=0,
        le=MOST_SIDE_PX,
        description="side in pixels of a random window cut from larger images first (prediction in tiles)",
    )
    tile_share: float = Field(1.0, gt=0, le=1, description="share of the larger images that is cut so")
    frame_hw: tuple[int, int] | None = Field(
        None, description="fixed training frame (height, width), multiples of 32; without it, the batch's largest"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.frame_hw is not None and any(not 0 < side <= MOST_SIDE_PX or side % 32 for side in self.frame_hw):
            raise ValueError(
                f"augment.frame_hw must be positive multiples of 32 up to {MOST_SIDE_PX}, got {self.frame_hw}"
            )
        if self.jitter is not None and self.frame_hw is None:
            raise ValueError("augment.jitter needs augment.frame_hw, the frame to crop or pad to")
        if self.jitter is not None and not 0 < self.jitter[0] <= self.jitter[1]:
            raise ValueError(f"augment.jitter must be (low, high) with 0 < low <= high, got {self.jitter}")
        if not 0 < self.crop_px[0] <= self.crop_px[1] <= MOST_SIDE_PX:
            raise ValueError(f"augment.crop_px must be (low, high) with 0 < low <= high, got {self.crop_px}")
        if not self.short_px or not self.crop_short_px:
            raise ValueError("augment.short_px and augment.crop_short_px must name at least one size")
        if not all(0 < side <= MOST_SIDE_PX for side in (*self.short_px, *self.crop_short_px)):
            raise ValueError(f"augment.short_px and augment.crop_short_px must be in 1..{MOST_SIDE_PX}")
        return self


class LossConfig(Settings):
    """Weights of the losses and exponents of the matching score (of the paper)."""

    classification: float = Field(2.0, ge=0, description="weight of the focal loss")
    mask: float = Field(5.0, ge=0, description="weight of the mask's binary cross-entropy")
    dice: float = Field(2.0, ge=0, description="weight of the dice loss")
    objectness: float = Field(1.0, ge=0, description="weight of the objectness's binary cross-entropy")
    cells: int = Field(2, gt=0, description="cells of an object that learn its mask (seeds)")
    match_dice: float = Field(0.8, ge=0, description="exponent of the dice score in the matching score")
    match_class: float = Field(0.2, ge=0, description="exponent of the class probability in the matching score")


class OptimConfig(Settings):
    """The optimiser, its schedule and what surrounds a step."""

    lr: float = Field(5e-5, gt=0, description="learning rate at reference_batch")
    reference_batch: int = Field(64, gt=0, description="batch size that lr was chosen for")
    lr_rule: Literal["sqrt", "linear", "none"] = Field(
        "sqrt", description="how the learning rate follows batch / reference_batch"
    )
    algorithm: Literal["adamw", "muon"] = Field(
        "adamw",
        description="adamw as published, or muon: inner weights of encoder and decoder take orthogonal steps, so that "
        "a fresh network learns faster",
    )
    weight_decay: float = Field(0.05, ge=0, description="of the parameters that decay_rule lets decay")
    decay_rule: Literal["published", "matrices"] = Field(
        "published",
        description="what decays: all whose name contains neither norm nor patch_embed, or only weights of more than "
        "one axis (no norm, no bias)",
    )
    schedule: Literal["multistep", "cosine", "flat"] = Field(
        "multistep",
        description="x0.1 at the milestones, cosine to 0, or flat: constant, then straight to 0 over 0.4 of the run",
    )
    milestones: tuple[float, ...] = Field((7 / 9, 25 / 27), description="fractions of the run (210k, 250k of 270k)")
    warmup: int = Field(1000, ge=0, description="iterations of linear warm-up")
    warmup_factor: float = Field(0.001, ge=0, le=1, description="fraction of the learning rate warm-up starts from")
    clip_norm: float | None = Field(None, gt=0, description="largest gradient norm; none as published")
    accumulate: int = Field(1, gt=0, description="batches whose gradients are added up for one iteration")
    freeze: int | None = Field(
        None, gt=0, description="layers of the backbone up to this stride stay as they are, weights and statistics"
    )
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the weights' moving average; 0 for none")


class Recipe(Settings):
    """How a network is trained."""

    iterations: int = Field(270_000, gt=0, description="optimiser steps; replaced by epochs when that is given")
    epochs: float | None = Field(None, gt=0, description="passes over the training images")
    batch: int = Field(64, gt=0, description="images of one step over all processes, accumulation not counted")
    seed: int = Field(0, ge=0, description="with epoch and index, decides all randomness of an image")
    workers: int = Field(2, ge=0, description="loader processes of each training process")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="autocast type; losses stay float32")
    evaluate_every: int = Field(5000, gt=0, description="iterations between evaluations (and checkpoints)")
    patience: int | None = Field(
        None, gt=0, description="evaluations in a row without a better validation AP after which the run ends"
    )
    held_out: float = Field(
        0.1, ge=0, lt=1, description="share of the training images to validate on where there are no others; 0 for none"
    )
    log_every: int = Field(20, gt=0, description="iterations between rows of the log")
    pictures: int = Field(4, ge=0, description="validation images drawn at each evaluation")
    max_dets: int = Field(100, gt=0, description="detections an image that the AP during training counts")
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()


class Variant(Settings):
    """The same network in another setting, as printed by the authors."""

    what: str = Field(description="what is different")
    ap_val: float | None = Field(None, description="mask AP on COCO val2017")
    ap_test: float | None = Field(None, description="mask AP on COCO test-dev")
    fps: float | None = Field(None, description="frames per second on an RTX 2080 Ti")


class Published(Settings):
    """Figures printed by the authors, never measured here."""

    ap_val: float | None = Field(None, description="mask AP on COCO val2017")
    ap_test: float | None = Field(None, description="mask AP on COCO test-dev")
    fps: float | None = Field(None, description="frames per second on an RTX 2080 Ti")
    ap_ablation: float | None = Field(None, description="mask AP in the paper's ablation of the decoder")
    weights: str | None = Field(None, description="name of the published checkpoint")
    variants: tuple[Variant, ...] = Field((), description="other settings of the same network")


class Preset(Settings):
    """One named network: its settings, its recipe and what is published about it."""

    description: str
    model: ModelConfig
    recipe: Recipe = Recipe()
    published: Published = Published()
