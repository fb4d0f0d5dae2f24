"""Laying pixels over a scene: what synthetic scenes and copy-paste share.

Paint is premultiplied: colour times alpha, so that it can be resized and turned without fringes (Porter and Duff 1984).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

OPAQUE = 128
"""From this alpha on (of 255) a pixel belongs to what is pasted."""


def premultiply(colors: Pixels, alpha: Pixels) -> Pixels:
    """Colours (h, w, channels) times alpha (h, w), both 0..255."""
    opacity = cv2.merge([alpha] * colors.shape[2])
    return np.asarray(cv2.multiply(colors, opacity, scale=1 / 255), np.uint8)


def blend(scene: Pixels, paint: Pixels, alpha: Pixels) -> None:
    """Lays paint over a scene of the same size, in place; where alpha is 0 the scene stays as it is.

    Args:
        scene: (h, w, channels), may be a window of a larger one.
        paint: (h, w, channels) premultiplied colours.
        alpha: (h, w) opacity, 0..255.
    """
    scene[:] = cv2.add(premultiply(np.ascontiguousarray(scene), 255 - alpha), paint)
