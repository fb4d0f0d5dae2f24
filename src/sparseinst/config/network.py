"""Settings of the network itself: backbone, encoder, and the two decoders."""

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from sparseinst.config.base import Settings, kind_or

AREA_PX = 512 * 512
"""Pixels that candidates are counted for where they follow the area of the frame."""
MOST_INSTANCES = 20_000
"""Most slots, and most candidates of an image or of an area."""
MOST_CHANNELS = 8192


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


DecoderConfig = Annotated[
    Annotated[SlotsConfig, Tag("kind=slots")] | Annotated[SeedsConfig, Tag("kind=seeds")],
    Discriminator(kind_or("slots"), "kind", "kind must be slots or seeds"),
]
"""From the encoder's features to instances; without a `kind`, `SlotsConfig`."""
