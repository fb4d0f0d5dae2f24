"""Images of several channels, planes and time points, by their axes."""

from sparseinst.data.stacks.opening import open_stack, pixel_size_of
from sparseinst.data.stacks.pages import PlacedPage, read_places
from sparseinst.data.stacks.stack import Place, Stack, View

__all__ = ["Place", "PlacedPage", "Stack", "View", "open_stack", "pixel_size_of", "read_places"]
