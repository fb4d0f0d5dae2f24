"""The browser, and services for it: one with the nuclei network, one with a tiny network of several classes."""

from collections.abc import Iterator
from typing import Any

import pytest

from sparseinst.runtime.backends import open_backend

pytest.register_assert_rewrite("browser.desk")

from browser.desk import chromium, served  # noqa: E402


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def nuclei_address() -> Iterator[str]:
    pytest.importorskip("fastapi", reason="fastapi serves the page")
    from sparseinst.serving.app import create_app
    from sparseinst.serving.settings import ServeSettings

    settings = ServeSettings(name="nuclei", shipped=True)
    with served(create_app(settings, lambda *, activation=False: open_backend("nuclei"))) as address:
        yield address
