"""Cut-out objects on disk: discs and boxes of known colours."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def write_cutouts(root: Path, categories: tuple[str, ...] = ("disc", "box"), objects: int = 4) -> Path:
    """CATEGORY/0.png, CATEGORY/1.webp, ...: 40 x 40 RGBA with a clear margin, even categories round."""
    for i, category in enumerate(categories):
        (root / category).mkdir(parents=True)
        for k in range(objects):
            pixels = np.zeros((40, 40, 4), np.uint8)
            pixels[..., :3] = 40 * k, 255 - 40 * k, 90 * i
            alpha = np.zeros((40, 40), np.uint8)
            if i % 2:
                alpha[6:34, 10:30] = 255
            else:
                cv2.circle(alpha, (20, 20), 12, 255, -1, cv2.LINE_AA)
            pixels[..., 3] = alpha
            Image.fromarray(pixels).save(root / category / f"{k}{'.webp' if k % 2 else '.png'}", lossless=True)
    return root
