"""All that a mask is: on the network's grid, in the pixels of an image, and in run lengths."""
