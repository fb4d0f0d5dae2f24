"""Images larger than memory: TIFF files and zarr folders, read by windows."""
