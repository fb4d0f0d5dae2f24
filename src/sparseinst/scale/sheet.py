"""The contact sheet of a result: some of its images, with what was found in them."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from sparseinst.config import IntensityConfig
from sparseinst.data.images import read_image
from sparseinst.drawing import Image as Picture
from sparseinst.drawing import draw, label_font
from sparseinst.errors import InputError
from sparseinst.inference.writers import write_image
from sparseinst.scale.listing import Kind
from sparseinst.scale.pieces import Piece
from sparseinst.scale.reading import Item, read_images
from sparseinst.scale.results import ROWS, instances_of
from sparseinst.scale.rows import OK

_LOGGER = logging.getLogger(__name__)
_CELL_PX, _CAPTION_PX, _COLUMNS = 320, 22, 6
