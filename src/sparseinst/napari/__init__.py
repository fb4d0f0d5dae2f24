"""The plugin for napari: objects of an image layer as a layer of labels."""
