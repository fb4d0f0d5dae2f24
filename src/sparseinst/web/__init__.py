"""The page: served beside a network, or by itself as a static site."""
