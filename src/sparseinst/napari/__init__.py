"""The plugin for napari: objects of an image layer as a layer of labels."""

from sparseinst.napari.widget import find_objects, label_layer

__all__ = ["find_objects", "label_layer"]
