"""Videos, cameras, streams and images in a row as frames."""
