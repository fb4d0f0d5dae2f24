"""The window of `--show`, without a screen."""

import sys
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from sparseinst import InputError
from sparseinst.video.display import Screen


class Root:
    """Tk's window, as far as it is used."""

    opened: ClassVar[list["Root"]] = []

    def __init__(self) -> None:
        self.bound, self.destroyed = {}, False
        self.opened.append(self)

    def title(self, text: str) -> None:
        self.text = text

    def protocol(self, name: str, call: object) -> None:
        self.bound[name] = call

    def bind(self, key: str, call: object) -> None:
        self.bound[key] = call

    def winfo_screenwidth(self) -> int:
        return 100

    def winfo_screenheight(self) -> int:
        return 100

    def update(self) -> None: ...

    def destroy(self) -> None:
        self.destroyed = True


class Label:
    """What holds the picture."""

    shown: tuple[int, int] | None = None

    def __init__(self, root: Root, **options: object) -> None: ...

    def pack(self) -> None: ...

    def configure(self, image: tuple[int, int]) -> None:
        Label.shown = image


@pytest.fixture
def _screen(monkeypatch: pytest.MonkeyPatch) -> None:
    tkinter = SimpleNamespace(Tk=Root, Label=Label, TclError=RuntimeError)
    monkeypatch.setitem(sys.modules, "tkinter", tkinter)
    photo = SimpleNamespace(PhotoImage=lambda image, master: image.size)
    monkeypatch.setitem(sys.modules, "PIL.ImageTk", photo)
    monkeypatch.setattr("PIL.ImageTk", photo, raising=False)


@pytest.mark.usefixtures("_screen")
@pytest.mark.parametrize("way", ["q", "<Escape>", "WM_DELETE_WINDOW"])
def test_each_way_to_close_it_ends_the_show(way: str) -> None:
    with Screen("clip") as window:
        root = Root.opened[-1]
        assert window.show(np.zeros((50, 40, 3), np.uint8)) and Label.shown == (40, 50)
        assert window.show(np.zeros((180, 360, 3), np.uint8)) and Label.shown == (90, 45)
        root.bound[way]()
        assert not window.show(np.zeros((50, 40, 3), np.uint8))
    assert root.destroyed


def test_without_a_screen_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    if sys.platform != "linux":
        pytest.skip("a screen can be taken away on Linux alone")
    monkeypatch.setenv("DISPLAY", "")
    with pytest.raises(InputError, match="expected a screen"):
        Screen("clip")


def test_without_tk_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(InputError, match="python3-tk"):
        Screen("clip")
