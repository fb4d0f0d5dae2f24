from typing import Any

import pytest

from serving.apps import GatedBackend, app_of, client_of, code_of, encoded, form, picture, run
from sparseinst.errors import InputError
from sparseinst.serving.settings import ServeSettings

KEY = "s3cret-key"
FILES = form(encoded(picture()))


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"authorization": f"Bearer {KEY}"}, True),
        ({"authorization": f"bearer  {KEY}"}, True),
        ({"x-api-key": KEY}, True),
        ({}, False),
        ({"x-api-key": ""}, False),
        ({"x-api-key": KEY[:-1]}, False),
        ({"x-api-key": KEY + "x"}, False),
        ({"x-api-key": "schlüssel".encode()}, False),
        ({"authorization": f"Basic {KEY}"}, False),
        ({"authorization": KEY}, False),
    ],
)
def test_the_key_opens_and_nothing_else_does(headers: dict[str, Any], allowed: bool) -> None:
    async def scenario() -> None:
        async with client_of(app_of(GatedBackend(), api_key=KEY, host="0.0.0.0")) as client:
            predict = await client.post("/v1/predict", files=FILES, headers=headers)
            others = [await client.get(path, headers=headers) for path in ("/v1/model", "/metrics")]
            for answer in (predict, *others):
                assert answer.status_code == (200 if allowed else 401)
                if not allowed:
                    assert code_of(answer) == "unauthorised" and KEY not in answer.text
            for path in ("/healthz", "/readyz", "/", "/app.js"):
                assert (await client.get(path)).status_code == 200, path

    run(scenario())


@pytest.mark.parametrize(
    ("settings", "headers", "code"),
    [
        ({}, {}, None),
        ({}, {"host": "127.0.0.1:8000"}, None),
        ({}, {"host": "[::1]:8000"}, None),
        ({}, {"host": "rebound.example"}, "wrong_host"),
        ({}, {"host": "localhost.rebound.example"}, "wrong_host"),
        ({}, {"host": "127.0.0.1:8000", "origin": "http://127.0.0.1:8000"}, None),
        ({}, {"host": "127.0.0.1:8000", "origin": "http://localhost:3000"}, "wrong_origin"),
        ({}, {"origin": "https://other.example"}, "wrong_origin"),
        ({}, {"origin": "null"}, "wrong_origin"),
        ({"cors": ("https://other.example",)}, {"origin": "https://other.example"}, None),
        ({"cors": ("https://other.example",)}, {"origin": "http://other.example"}, "wrong_origin"),
        ({"api_key": KEY}, {"host": "cells.example", "x-api-key": KEY, "origin": "https://cells.example"}, None),
        ({"api_key": KEY}, {"host": "cells.example", "x-api-key": KEY, "origin": "https://x.example"}, "wrong_origin"),
        ({"host": "0.0.0.0", "open_to_all": True}, {"host": "box.lan:8000"}, None),
    ],
)
def test_pages_of_other_sites_cannot_use_it(
    settings: dict[str, Any], headers: dict[str, str], code: str | None
) -> None:
    async def scenario() -> None:
        async with client_of(app_of(GatedBackend(), **settings)) as client:
            answer = await client.post("/v1/predict", files=FILES, headers=headers)
            if code is None:
                assert answer.status_code == 200, answer.text
            else:
                assert (answer.status_code, code_of(answer)) == (403, code)

    run(scenario())


def test_another_site_that_is_allowed_may_ask_and_read() -> None:
    site = "https://other.example"
    asked = {"origin": site, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}

    async def scenario() -> None:
        async with client_of(app_of(GatedBackend(), cors=(site,), api_key=KEY)) as client:
            preflight = await client.options("/v1/predict", headers=asked)
            assert preflight.status_code == 200
            answer = await client.post("/v1/predict", files=FILES, headers={"origin": site, "x-api-key": KEY})
            refused = await client.post("/v1/predict", files=FILES, headers={"origin": site})
            assert (answer.status_code, refused.status_code) == (200, 401)
            for told in (preflight, answer, refused):  # the page of that site must be able to read why
                assert told.headers["access-control-allow-origin"] == site
        async with client_of(app_of(GatedBackend())) as client:
            preflight = await client.options("/v1/predict", headers=asked)
            assert preflight.status_code >= 400 and "access-control-allow-origin" not in preflight.headers

    run(scenario())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "box.lan", ""])
def test_listening_to_strangers_takes_a_key_or_a_word(host: str) -> None:
    with pytest.raises(InputError, match="--api-key"):
        ServeSettings(host=host).check()
    ServeSettings(host=host, api_key=KEY).check()
    ServeSettings(host=host, open_to_all=True).check()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_listening_to_this_machine_takes_none(host: str) -> None:
    ServeSettings(host=host).check()


def test_settings_that_cannot_work_are_refused() -> None:
    for key in ("", "two words", "schlüssel"):
        with pytest.raises(InputError, match="api_key"):
            ServeSettings(api_key=key).check()
    with pytest.raises(InputError, match="max_images"):
        ServeSettings(queue=3, max_images=4).check()
    assert KEY not in repr(ServeSettings(api_key=KEY))
