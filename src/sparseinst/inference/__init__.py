"""Images in, instances out, and files about them."""
