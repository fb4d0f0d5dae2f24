"""Images larger than memory: TIFF files and zarr folders, read by windows."""

from sparseinst.data.large.image import LargeImage, large_size_hw, open_large, shrunk
from sparseinst.data.large.ome_zarr import is_zarr
from sparseinst.data.large.tiff import is_tiff

__all__ = ["LargeImage", "is_tiff", "is_zarr", "large_size_hw", "open_large", "shrunk"]
