"""Objects as people who count cells want them: measurements, stacks, and files for Fiji, QuPath and Cellpose."""

from sparseinst.cells.fiji import Placed, write_rois
from sparseinst.cells.files import CellFiles, Wanted
from sparseinst.cells.label_stack import write_label_stack
from sparseinst.cells.measuring import measure
from sparseinst.cells.outlines import outlines
from sparseinst.cells.qupath import Region, read_regions, write_geojson
from sparseinst.cells.stitching import stitch

__all__ = [
    "CellFiles", "Placed", "Region", "Wanted", "measure", "outlines", "read_regions", "stitch", "write_geojson",
    "write_label_stack", "write_rois",
]  # fmt: skip
