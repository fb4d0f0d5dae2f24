"""Real images with annotations that come with the tests: data_files/README.md says whose they are."""

from pathlib import Path

NUCLEI = Path(__file__).parent / "data_files" / "nuclei"
"""Six images for training and four for validation, of one to 196 nuclei; fluorescence and stains."""
PHOTOGRAPHS = Path(__file__).parent / "data_files" / "photographs"
"""Three photographs (validation) with outlines of 13 objects."""
EMBRYO = NUCLEI / "val" / "538b7673d507014d.png"
"""196 nuclei in 1272 x 603 pixels."""
LAYER_OF_CELLS = NUCLEI / "val" / "193ffaa5272d5c42.png"
"""157 nuclei in 696 x 520 pixels."""
