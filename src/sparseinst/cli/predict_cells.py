"""The options of `sparseinst predict` for people who count cells, and what it tells of sizes and files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from sparseinst.cli.telling import count, say
from sparseinst.errors import InputError

if TYPE_CHECKING:
    from sparseinst.cells.files import CellFiles
    from sparseinst.config.preprocess import PreprocessConfig
    from sparseinst.data.stacks.stack import View
    from sparseinst.inference.outcome import ImageResult

_FEW_PX, _MANY_PX = 0.55, 2.5
"""Median diameters, as parts of the trained one, beyond which too little is found to say nothing (docs/cells.md)."""

PixelUm = Annotated[
    float | None,
    typer.Option(
        "--pixel-size",
        metavar="UM",
        help="Micrometres of a pixel of all images; without it, what OME-XML, TIFF tags or OME-Zarr say.",
    ),
]
Channel = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Channel to look at, by name or by number from 0: OME-TIFF, ImageJ, OME-Zarr."),
]
Project = Annotated[
    str | None,
    typer.Option(metavar="max", help="Look at the brightest of all planes of a time point, not at each plane."),
]
Series = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Image to look at in a CZI, LIF or ND2 file of several, by name or by number from 0."
    ),
]
Measure = Annotated[
    bool,
    typer.Option(
        "--measure",
        help="Write measurements.csv, and .parquet with pyarrow: shape, and intensities of every channel, of each "
        "object.",
    ),
]
Ring = Annotated[
    int, typer.Option(min=1, metavar="PX", help="Width of the ring around objects for measured intensities.")
]
Regions = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write regions.csv: counts and densities in regions drawn in QuPath (.geojson) or Fiji (.roi, .zip).",
    ),
]
SaveRois = Annotated[bool, typer.Option("--save-rois", help="Write NAME_rois.zip for Fiji's ROI Manager.")]
SaveGeojson = Annotated[bool, typer.Option("--save-geojson", help="Write NAME.geojson for QuPath.")]
SaveOutlines = Annotated[
    bool, typer.Option("--save-outlines", help="Write NAME_cp_outlines.txt: outlines as Cellpose writes them.")
]
SaveStack = Annotated[
    bool,
    typer.Option(
        "--save-stack", help="Write NAME_labels.ome.tif: the label images of all planes and time points in one."
    ),
]
SaveZarr = Annotated[
    bool,
    typer.Option(
        "--save-zarr", help="Write NAME_labels.ome.zarr: the image with these label images, as OME-Zarr for viewers."
    ),
]
Stitch = Annotated[
    bool,
    typer.Option(
        "--stitch",
        help="Masks of adjacent planes that overlap become one object: NAME_labels.ome.tif in 3-D, and volumes.csv "
        "with --measure.",
    ),
]


class CellOptions(NamedTuple):
    """What was asked for."""

    channel: str | None
    project: str | None
    series: str | None
    pixel_um: float | None
    measure: bool
    ring_px: int
    regions: Path | None
    rois: bool
    geojson: bool
    outlines: bool
    stack: bool
    zarr: bool
    stitch: bool

    @property
    def writes(self) -> bool:
        """Whether files about cells are wanted."""
        return any((
            self.measure, self.regions, self.rois, self.geojson, self.outlines, self.stack, self.zarr,
            self.stitch,
        ))  # fmt: skip

    def view(self) -> "View | None":
        """How files are opened; None takes their pages as they come.

        Raises:
            InputError: another projection than max, or one that leaves nothing to stitch; no size of a pixel.
        """
        from sparseinst.data.stacks.stack import View

        if self.project not in (None, "max"):
            raise InputError(f"--project {self.project}: expected max, the only projection: give it, or leave it out")
        if self.pixel_um is not None and not self.pixel_um > 0:
            raise InputError(
                f"--pixel-size {self.pixel_um:g}: expected micrometres above 0: give what a pixel measures"
            )
        if self.project and self.stitch:
            raise InputError("expected --project or --stitch, got both: a projection has no planes to stitch")
        asked = (self.channel, self.project, self.series)
        return View(*asked) if self.writes or any(value is not None for value in asked) else None

    def refuse_for_video(self, diameter: object) -> None:
        """Raises InputError if anything was asked for that videos do not have."""
        if self.writes or self.view() is not None or self.pixel_um is not None or diameter == "auto":
            raise InputError(
                "expected images for --measure, --channel, --pixel-size, --diameter auto and files about cells, got a "
                "video: give its frames as images, or leave them out"
            )


@contextmanager
def cell_files(options: CellOptions, folder: Path, classes: tuple[str, ...]) -> "Iterator[CellFiles | None]":
    """What writes the files about cells; None if none is wanted. Tells of them at the end."""
    from sparseinst.cells.files import CellFiles, Wanted

    if not options.writes:
        yield None
        return
    wanted = Wanted(
        measure=options.measure, rois=options.rois, geojson=options.geojson, outlines=options.outlines,
        stack=options.stack, zarr=options.zarr, stitch=options.stitch, regions=options.regions,
        ring_px=options.ring_px, series=options.series,
    )  # fmt: skip
    with CellFiles(folder, classes, wanted) as files:
        yield files
    tables = [path for path in files.written if path.suffix in (".csv", ".parquet")]
    for path in tables:
        say(f"{path.stem}: {path}")
    if len(files.written) > len(tables):
        say(f"{count(len(files.written) - len(tables), 'file')} for Fiji, QuPath and others beside the pictures")


class Sizes:
    """Watches how large objects are, and tells at the end where they are far from what the network learnt from."""

    def __init__(self, preprocess: "PreprocessConfig", *, diameter: float | Literal["auto"] | None) -> None:
        self._network, self._diameter = preprocess, diameter
        self._small: list[float] = []
        self._large: list[float] = []

    def see(self, result: "ImageResult") -> str:
        """Looks at a result; gives what is to be said of it, or nothing."""
        import numpy as np

        trained: Any = getattr(self._network, "diameter_px", None)
        seen: Any = result.preprocess
        if trained is None or seen is None or result.instances is None or not len(result.instances):
            return ""
        if self._diameter == "auto":
            return f"objects of about {self._network.scale * trained / seen.scale:.0f} px"  # type: ignore[union-attr]
        median = float(np.median(2 * np.sqrt(result.instances.areas / np.pi)))
        part = median * seen.scale / (trained * self._network.scale)  # type: ignore[union-attr]
        if not _FEW_PX <= part <= _MANY_PX:
            (self._small if part < 1 else self._large).append(median)
        return ""

    def tell(self) -> None:
        """Tells of images whose objects are too small or too large."""
        for images, kind in ((self._small, "smaller"), (self._large, "larger")):
            if images:
                median = sorted(images)[len(images) // 2]
                say(
                    f"In {count(len(images), 'image')} objects measure about {median:.0f} px, far {kind} than those "
                    f"the network learnt from: --diameter auto, or --diameter {median:.0f}, brings them to it.",
                    style="yellow",
                )


def say_pixels_alone(options: CellOptions, preprocess: "PreprocessConfig") -> None:
    """Tells that a size in micrometres changes nothing for a network that states none."""
    if options.pixel_um is not None and getattr(preprocess, "pixel_um", None) is None:
        say("The network knows pixels alone: --pixel-size is for measurements; --diameter sets what objects measure.")
