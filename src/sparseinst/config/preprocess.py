"""Settings of the way from an image file to the network's input."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from sparseinst.config.base import Settings, kind_or

MOST_SIDE_PX = 16_384
"""Longest side of what a network sees in one pass; larger images are cut into tiles."""
RGB = 3
"""Channels of an image in colours; what grey ones are brought to, too."""
MOST_IMAGE_CHANNELS = 16


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


PreprocessConfig = Annotated[
    Annotated[ShortSideConfig, Tag("kind=short_side")] | Annotated[NativeConfig, Tag("kind=native")],
    Discriminator(kind_or("short_side"), "kind", "kind must be short_side or native"),
]
"""From an image file to the network's input; without a `kind`, `ShortSideConfig`."""
