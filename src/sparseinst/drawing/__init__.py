"""Pictures of instances."""

from sparseinst.drawing.instances import draw, draw_as, label_font, legible_scale
from sparseinst.drawing.overview import OVERVIEW_PX, draw_overview, overview_shrink
from sparseinst.drawing.palette import Image, color_of

__all__ = [
    "OVERVIEW_PX", "Image", "color_of", "draw", "draw_as", "draw_overview", "label_font", "legible_scale",
    "overview_shrink",
]  # fmt: skip
