"""A window that shows a video while it is made."""

from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparseinst.errors import InputError

_SCREEN_SHARE = 0.9
"""Of the screen's sides that the window takes at most."""
_QUIT_KEYS = ("<Escape>", "q", "Q")


class Screen:
    """A window of the standard library's Tk; q, Escape or closing it ends the show. For the main thread alone.

    Args:
        title: of the window.

    Raises:
        InputError: there is no screen, or this Python has no Tk.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError as error:
            raise InputError(
                f"show: expected Python's Tk for a window, found none ({error}): install it (python3-tk on Debian), or "
                "write a file instead"
            ) from error
        try:
            self._root: Any = tkinter.Tk()
        except tkinter.TclError as error:
            raise InputError(
                f"show: expected a screen for a window, found none ({error}): write a file instead"
            ) from error
        self._photo_of: Any = ImageTk.PhotoImage
        self._photo: Any = None
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._quit)
        for key in _QUIT_KEYS:
            self._root.bind(key, self._quit)
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._root.destroy()

    def show(self, picture: NDArray[np.uint8]) -> bool:
        """Shows an (H, W, 3) uint8 RGB picture, shrunk to the screen if need be; False once the user has closed it."""
        height, width = picture.shape[:2]
        screen = self._root.winfo_screenwidth() / width, self._root.winfo_screenheight() / height
        scale = min(1.0, _SCREEN_SHARE * min(screen))
        if scale < 1:
            size_wh = (max(1, int(width * scale)), max(1, int(height * scale)))
            picture = np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        self._photo = self._photo_of(Image.fromarray(picture), master=self._root)  # Tk itself keeps no reference to it
        self._label.configure(image=self._photo)
        self._root.update()
        return self._open

    def _quit(self, _event: object = None) -> None:
        self._open = False
