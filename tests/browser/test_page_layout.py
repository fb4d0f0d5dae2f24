"""The page on phones and desks, in the light and in the dark: nothing is cut off, too small or too pale."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from browser.desk import keep_picture, open_picture, opened, painting
from real import LAYER_OF_CELLS
from sparseinst.zoo.names import DEMO_IMAGE

PHONES = {"narrow": (360, 740), "phone": (390, 844)}
LEAST_CONTRAST = 4.5
SMALL = """() => [...document.querySelectorAll("button, summary, input")]
  .filter(element => element.checkVisibility() && element.type !== "checkbox")
  .map(element => [element.innerText || element.id, element.getBoundingClientRect()])
  .filter(([, box]) => box.height < 43.5 || box.width < 43.5)
  .map(([name, box]) => `${name} ${box.width} x ${box.height}`)"""
COLORS = """names => {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(names.map(name => [name, style.getPropertyValue(`--${name}`)]));
}"""
PAIRS = [
    ("ink", "paper"), ("soft", "paper"), ("soft", "card"), ("ink", "pick"), ("soft", "pick"), ("soft", "hover"),
    ("on-accent", "accent"), ("note-ink", "note"), ("accent", "paper"),
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", PHONES)
def test_a_phone(browser: Any, nuclei_address: str, size: str, scheme: str) -> None:
    width, height = PHONES[size]
    phone = {"viewport": {"width": width, "height": height}, "is_mobile": True, "has_touch": True}
    with opened(browser, nuclei_address, **phone, device_scale_factor=2, color_scheme=scheme) as page:
        page.locator("#note").wait_for()
        assert page.locator("#welcome [data-do=take]").is_visible()
        keep_picture(page, f"{size}-{scheme}-welcome")
        assert page.evaluate(SMALL) == []
        open_picture(page, DEMO_IMAGE)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(SMALL) == []
        keep_picture(page, f"{size}-{scheme}")
        page.locator("#rows tr").first.tap()
        page.locator("#groups canvas").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        keep_picture(page, f"{size}-{scheme}-activation")


def test_fingers_zoom_and_move(browser: Any, nuclei_address: str) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    with opened(browser, nuclei_address, **phone) as page:
        open_picture(page, DEMO_IMAGE)
        whole = painting(page)
        swipe(page, [(200, 250)], [(150, 250)])
        assert painting(page) == whole, "a picture that is seen as a whole stays where it is"
        swipe(page, [(180, 250), (220, 250)], [(80, 250), (320, 250)])
        near = painting(page)
        assert near != whole
        swipe(page, [(200, 250)], [(150, 280)])
        assert painting(page) not in (near, whole)
        assert page.locator("#rows tr.selected").count() == 0, "no finger has tapped"
        assert page.evaluate("visualViewport.scale") == 1


def swipe(page: Any, start: list[tuple[int, int]], end: list[tuple[int, int]]) -> None:
    """Fingers that touch the screen, move and leave it."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, places: Iterable[tuple[float, float]]) -> None:
        points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", start)
    for part in (0.3, 0.6, 1.0):
        touch("touchMove", [tuple(np.add(a, np.subtract(b, a) * part)) for a, b in zip(start, end, strict=True)])
    touch("touchEnd", [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out(browser: Any, nuclei_address: str, scheme: str) -> None:
    with opened(browser, nuclei_address, color_scheme=scheme) as page:
        colors = page.evaluate(COLORS, sorted({name for pair in PAIRS for name in pair}))
        contrasts = {pair: contrast(*(colors[name] for name in pair)) for pair in PAIRS}
        assert {pair: value for pair, value in contrasts.items() if value < LEAST_CONTRAST} == {}
        open_picture(page, LAYER_OF_CELLS)
        keep_picture(page, f"desk-{scheme}")


def contrast(one: str, other: str) -> float:
    """Of two colours #rrggbb, as WCAG defines it, 1..21."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    parts = np.array([int(part, 16) for part in re.findall("..", color.strip().removeprefix("#"))]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
