"""Settings of a model, as frozen pydantic models.

They travel inside every checkpoint and exported file, so that a file is all that prediction needs. Each field's
description is also the help that the command line prints.
"""

import math
from typing import Self

from pydantic import Field, model_validator

from sparseinst.config.base import Settings
from sparseinst.config.network import AREA_PX, BackboneConfig, DecoderConfig, EncoderConfig, SeedsConfig, SlotsConfig
from sparseinst.config.preprocess import NativeConfig, PreprocessConfig, ShortSideConfig

COCO_CLASSES: tuple[str, ...] = tuple(
    """person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant|stop sign|parking meter
    |bench|bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe|backpack|umbrella|handbag|tie|suitcase|frisbee|skis
    |snowboard|sports ball|kite|baseball bat|baseball glove|skateboard|surfboard|tennis racket|bottle|wine glass|cup
    |fork|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot|hot dog|pizza|donut|cake|chair|couch
    |potted plant|bed|dining table|toilet|tv|laptop|mouse|remote|keyboard|cell phone|microwave|oven|toaster|sink
    |refrigerator|book|clock|vase|scissors|teddy bear|hair drier|toothbrush""".replace("\n    ", "").split("|")
)
"""The 80 class names of COCO 2017 in the order of their category ids."""
MOST_CLASSES = 100_000
WHOLE_MASKS_PX = 768
"""Side in network pixels of what is seen in one pass with all masks over the whole frame: 500 MB at 400 instances
in 512 x 512."""


class PostprocessConfig(Settings):
    """From candidates to instances."""

    gate: float = Field(
        0.005, ge=0, lt=1, description="slots whose score before rescoring is not above this are dropped"
    )
    mask_threshold: float = Field(0.45, gt=0, lt=1, description="a pixel belongs to a mask above this probability")
    score: float = Field(0.3, ge=0, lt=1, description="default lowest score that prediction shows")
    least_piece: float = Field(
        0.0, ge=0, le=1, description="pieces of a mask smaller than this share of its area are dropped"
    )


class ModelConfig(Settings):
    """Everything that prediction needs to know about a network besides its weights."""

    classes: tuple[str, ...] = Field(
        COCO_CLASSES, min_length=1, max_length=MOST_CLASSES, description="class names, in the order of the logits"
    )
    preprocess: PreprocessConfig = ShortSideConfig()
    backbone: BackboneConfig = BackboneConfig()
    encoder: EncoderConfig = EncoderConfig()
    decoder: DecoderConfig = SlotsConfig()
    postprocess: PostprocessConfig = PostprocessConfig()

    @model_validator(mode="after")
    def _unique_classes(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("class names must be unique")
        return self

    @property
    def most_instances(self) -> int | None:
        """Most instances in an image; None where it depends on the frame, and that may be any."""
        decoder, frame = self.decoder, self.preprocess.frame_hw
        if frame is None and isinstance(decoder, SeedsConfig) and decoder.candidates_per == "area":
            return None
        return decoder.most_instances(frame or (0, 0))

    @property
    def room(self) -> str:
        """How many instances there may be in an image, in words that "at most" goes before."""
        if self.most_instances is not None:
            return f"{self.most_instances} instances in an image"
        assert isinstance(self.decoder, SeedsConfig)
        side = math.isqrt(AREA_PX)
        return f"{self.decoder.candidates} instances for each {side} x {side} pixels of an image's frame"

    @property
    def mask_stride(self) -> int:
        """Stride of the mask logits in input pixels: half that of the activation maps (4 as published)."""
        return self.backbone.strides[0] // 2


def for_whole_masks(config: ModelConfig) -> ModelConfig:
    """The settings for what makes all masks over the whole frame at once, as exported files and GPUs do.

    Where instances follow the area their masks take memory by its square, so that less is seen in one pass.
    """
    preprocess, decoder = config.preprocess, config.decoder
    if not isinstance(preprocess, NativeConfig) or not isinstance(decoder, SeedsConfig):
        return config
    if decoder.candidates_per == "image":
        return config
    changed = preprocess.model_copy(update={"one_pass_px": min(preprocess.one_pass_px, WHOLE_MASKS_PX)})
    return config.model_copy(update={"preprocess": changed})
