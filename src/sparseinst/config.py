"""Settings of a network and of its inference, as frozen pydantic models.

They travel inside every checkpoint and exported file, so that a file is all that prediction needs. Each field's
description is also the help that the command line prints.
"""

import math
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

COCO_CLASSES: tuple[str, ...] = tuple(
    """person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant|stop sign|parking meter
    |bench|bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe|backpack|umbrella|handbag|tie|suitcase|frisbee|skis
    |snowboard|sports ball|kite|baseball bat|baseball glove|skateboard|surfboard|tennis racket|bottle|wine glass|cup
    |fork|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot|hot dog|pizza|donut|cake|chair|couch
    |potted plant|bed|dining table|toilet|tv|laptop|mouse|remote|keyboard|cell phone|microwave|oven|toaster|sink
    |refrigerator|book|clock|vase|scissors|teddy bear|hair drier|toothbrush""".replace("\n    ", "").split("|")
)
"""The 80 class names of COCO 2017 in the order of their category ids."""


AREA_PX = 512 * 512
"""Pixels that candidates are counted for where they follow the area of the frame."""


WHOLE_MASKS_PX = 768
"""Side in network pixels of what is seen in one pass with all masks over the whole frame: 500 MB at 400 instances
in 512 x 512."""

MOST_SIDE_PX = 16_384
"""Longest side of what a network sees in one pass; larger images are cut into tiles."""
MOST_INSTANCES = 20_000
"""Most slots, and most candidates of an image or of an area."""
MOST_CHANNELS = 8192
RGB = 3
"""Channels of an image in colours; what grey ones are brought to, too."""
MOST_IMAGE_CHANNELS = 16
MOST_CLASSES = 100_000


class Settings(BaseModel):
    """Base of all settings: immutable; an unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def kinds_of(annotation: Any) -> tuple[type[Settings], ...]:
    """The classes of settings that a field may hold: one group, or every kind of a union; none for a plain value.

    >>> [kind.__name__ for kind in kinds_of(IntensityConfig)], kinds_of(int | None)
    (['IntensityConfig'], ())
    """
    if isinstance(annotation, type):
        return (annotation,) if issubclass(annotation, Settings) else ()
    if get_origin(annotation) is Annotated:
        return kinds_of(get_args(annotation)[0])
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    kinds = tuple(kinds_of(member) for member in members)
    return sum(kinds, ()) if all(kinds) else ()


class IntensityConfig(Settings):
    """How 16-bit (and float) grey values become 8-bit ones; 8-bit images are never touched."""

    mode: Literal["percentile", "range"] = Field(
        "percentile", description="percentile: stretch each image by its own percentiles; range: fixed grey values"
    )
    low: float = Field(0.1, description="percentile (0..100) or grey value that becomes 0")
    high: float = Field(99.9, description="percentile (0..100) or grey value that becomes 255")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"intensity.low must be below intensity.high, got {self.low} and {self.high}")
        if self.mode == "percentile" and (self.low < 0 or self.high > 100):
            raise ValueError(f"intensity percentiles must lie in 0..100, got {self.low} and {self.high}")
        return self


class _PreprocessBase(Settings):
    """What every way from an image file to the network's input has."""

    kind: Literal["short_side", "native"]
    frame_hw: tuple[int, int] | None = Field(
        None,
        description="fixed padded frame (height, width), which larger images are shrunk to fit into; without it, the "
        "next multiples of 32",
    )
    channels: int = Field(
        RGB,
        ge=2,
        le=MOST_IMAGE_CHANNELS,
        description="channels of an image: 3 are red, green and blue, and grey images have them alike; of any other "
        "number (stains, spectral bands) images have as many",
    )
    mean: tuple[float, ...] = Field(
        (123.675, 116.28, 103.53),
        description="mean of each channel, in 0..255; of three for another number of channels each gets the average",
    )
    std: tuple[float, ...] = Field(
        (58.395, 57.12, 57.375), description="deviation of each channel, in 0..255, above 0; as for mean"
    )
    intensity: IntensityConfig = IntensityConfig()

    @model_validator(mode="before")
    @classmethod
    def _for_channels(cls, values: Any) -> Any:
        """Three values, which are those of RGB, become one for each of other channels: their average."""
        channels = values.get("channels", RGB) if isinstance(values, Mapping) else RGB
        if not isinstance(channels, int) or channels == RGB or channels > MOST_IMAGE_CHANNELS:
            return values
        of_rgb = {name: values.get(name, cls.model_fields[name].default) for name in ("mean", "std")}
        averages = {
            name: (sum(given) / RGB,) * channels
            for name, given in of_rgb.items()
            if isinstance(given, Sequence) and len(given) == RGB and all(isinstance(v, int | float) for v in given)
        }
        return {**values, **averages}

    @model_validator(mode="after")
    def _padded(self) -> Self:
        if self.frame_hw is not None and any(not 0 < side <= MOST_SIDE_PX or side % 32 for side in self.frame_hw):
            raise ValueError(
                f"preprocess.frame_hw must be positive multiples of 32 up to {MOST_SIDE_PX}, got {self.frame_hw}"
            )
        for name, given in (("mean", self.mean), ("std", self.std)):
            if len(given) != self.channels:
                raise ValueError(
                    f"preprocess.{name} must have a value for each of the {self.channels} channels, got {len(given)}"
                )
        if not all(0 < deviation <= 1000 for deviation in self.std):
            raise ValueError(f"preprocess.std must be above 0 and at most 1000, got {self.std}")
        return self


class ShortSideConfig(_PreprocessBase):
    """Images are resized to one size, whatever theirs (photographs, and every published network)."""

    kind: Literal["short_side"] = "short_side"
    short_px: int = Field(640, gt=0, le=MOST_SIDE_PX, description="the short side is resized to this many pixels ...")
    long_px: int = Field(864, gt=0, le=MOST_SIDE_PX, description="... unless the long side would exceed this many")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.long_px < self.short_px:
            raise ValueError(f"preprocess.long_px must be at least short_px, got {self.long_px} < {self.short_px}")
        frame = self.frame_hw
        if frame is not None and (min(frame) < self.short_px or max(frame) < self.long_px):
            raise ValueError(
                f"preprocess.frame_hw {frame} cannot hold images of {self.short_px} x {self.long_px}: "
                "enlarge the frame or lower short_px and long_px"
            )
        return self


class NativeConfig(_PreprocessBase):
    """Images keep their size but for one factor, so that an object is as large in every image (micrographs)."""

    kind: Literal["native"] = "native"
    scale: float = Field(1.0, gt=0, le=1000, description="network pixels for each pixel of the image")
    diameter_px: float | None = Field(
        None,
        gt=0,
        le=MOST_SIDE_PX,
        description="median diameter 2*sqrt(area/pi) of the objects trained on, in pixels of the original images; "
        "training measures it",
    )
    largest_px: float | None = Field(
        None,
        gt=0,
        le=MOST_SIDE_PX,
        description="extent that 99 of 100 objects trained on do not exceed, in pixels of the original images; tiles "
        "overlap by it and what is seen around; training measures it",
    )
    pixel_um: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="micrometres of a pixel of the images trained on, where they were all alike; images that state "
        "theirs are then brought to it",
    )
    one_pass_px: int = Field(
        1536,
        ge=64,
        le=MOST_SIDE_PX,
        description="side of the largest square, in network pixels, that is seen in one pass; images of a larger area "
        "are cut into tiles",
    )


def _preprocess_tag(value: Any) -> str:
    # Files written before there were kinds name none: theirs is the short side.
    kind = value.get("kind", "short_side") if isinstance(value, dict) else getattr(value, "kind", "short_side")
    return f"kind={kind}"


PreprocessConfig = Annotated[
    Annotated[ShortSideConfig, Tag("kind=short_side")] | Annotated[NativeConfig, Tag("kind=native")],
    Discriminator(_preprocess_tag, "kind", "kind must be short_side or native"),
]
"""From an image file to the network's input; without a `kind`, `ShortSideConfig`."""


class BackboneConfig(Settings):
    """Any timm model that gives feature maps at the strides named."""

    name: str = Field("resnet50", pattern=r"^[^:/]+$", description="timm model name")
    strides: tuple[int, ...] = Field(
        (8, 16, 32),
        description="strides of the features used, fine to coarse; the first is that of the activation maps",
    )
    norm: Literal["frozen", "batch", "sync"] = Field(
        "frozen", description="batch norm: frozen statistics and weights, ordinary, or synchronised over processes"
    )
    deformable: tuple[int, ...] = Field(
        (), description="those of the strides whose stages have deformable 3x3 convolutions (DCN v1)"
    )

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        powers = all(stride & (stride - 1) == 0 and stride <= 32 for stride in self.strides)
        doubling = powers and all(b == 2 * a for a, b in zip(self.strides, self.strides[1:], strict=False))
        if not self.strides or self.strides[0] < 2 or not doubling:
            raise ValueError(
                f"backbone.strides must be powers of 2 from 2 to 32, each twice the one before, got {self.strides}"
            )
        if not set(self.deformable) <= set(self.strides):
            raise ValueError(f"backbone.deformable must name some of the strides {self.strides}, got {self.deformable}")
        return self


class EncoderConfig(Settings):
    """The paper's instance context encoder."""

    channels: int = Field(256, gt=0, le=MOST_CHANNELS, description="width D of the pyramid and of the fused features")
    pool_bins: tuple[Annotated[int, Field(gt=0, le=64)], ...] = Field(
        (1, 2, 3, 6), max_length=16, description="bins of the pyramid pooling; none leaves it out"
    )
    norm: Literal["none", "batch", "sync"] = Field("none", description="norm after each convolution")


class SlotsConfig(Settings):
    """The paper's decoder: N learned activation maps. All published networks have it."""

    kind: Literal["slots"] = "slots"
    slots: int = Field(
        100, gt=0, le=MOST_INSTANCES, description="number N of instance activation maps, the most instances in an image"
    )
    groups: int = Field(4, gt=0, le=64, description="groups G of the group IAM; 1 is the plain IAM")
    kernel: Literal[1, 3] = Field(3, description="kernel size of the IAM convolution")
    activation: Literal["sigmoid", "softmax"] = Field("sigmoid", description="normalisation of the activation maps")
    channels: int = Field(256, gt=0, le=MOST_CHANNELS, description="width of both branches")
    convs: int = Field(4, ge=0, le=64, description="3x3 convolutions in each branch")
    kernel_channels: int = Field(
        128, gt=0, le=MOST_CHANNELS, description="channels of the mask features and mask kernels"
    )
    coordinates: bool = Field(True, description="give both branches the place of each pixel")
    objectness: bool = Field(True, description="rescore classes by the IoU-aware objectness")
    norm: Literal["none", "batch", "sync"] = Field("none", description="norm after each convolution")

    def most_instances(self, frame_hw: tuple[int, int]) -> int:
        """Most instances in an image, whatever its padded frame (height, width)."""
        return self.slots

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.channels % self.groups:
            raise ValueError(
                f"decoder.channels must be divisible by decoder.groups, got {self.channels} and {self.groups}"
            )
        return self


class SeedsConfig(Settings):
    """Instances begin at cells of the feature map; no weight depends on the frame or on their number."""

    kind: Literal["seeds"] = "seeds"
    candidates: int = Field(
        100,
        gt=0,
        le=MOST_INSTANCES,
        description="most instances in an image, or (candidates_per) in 512 x 512 pixels of its frame",
    )
    candidates_per: Literal["image", "area"] = Field(
        "image", description="whether candidates are counted an image or for each 512 x 512 pixels of the frame"
    )
    levels: int = Field(1, gt=0, le=4, description="grids of seeds, each half as fine as the one before")
    channels: int = Field(80, gt=0, le=MOST_CHANNELS, description="width of both branches")
    convs: int = Field(3, gt=0, le=64, description="3x3 convolutions in each branch")
    kernel_channels: int = Field(
        64, gt=0, le=MOST_CHANNELS, description="channels of the mask features and mask kernels"
    )
    norm: Literal["none", "batch", "sync"] = Field("batch", description="norm after each convolution")

    def most_instances(self, frame_hw: tuple[int, int]) -> int:
        """Most instances in an image of this padded frame (height, width)."""
        if self.candidates_per == "image":
            return self.candidates
        return -(-frame_hw[0] * frame_hw[1] * self.candidates // AREA_PX)

    @property
    def groups(self) -> int:
        """Activation maps of an instance: its draft mask."""
        return 1

    @property
    def activation(self) -> Literal["sigmoid", "softmax"]:
        """How the maps are normalised."""
        return "sigmoid"


def _decoder_tag(value: Any) -> str:
    # Files written before there were kinds name none: theirs are slots.
    kind = value.get("kind", "slots") if isinstance(value, dict) else getattr(value, "kind", "slots")
    return f"kind={kind}"


DecoderConfig = Annotated[
    Annotated[SlotsConfig, Tag("kind=slots")] | Annotated[SeedsConfig, Tag("kind=seeds")],
    Discriminator(_decoder_tag, "kind", "kind must be slots or seeds"),
]
"""From the encoder's features to instances; without a `kind`, `SlotsConfig`."""


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
