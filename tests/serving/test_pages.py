import re
from pathlib import Path

from serving.apps import GatedBackend, app_of, client_of, code_of, run
from sparseinst.serving.settings import page_folder


def test_the_page_and_all_its_files_are_served_as_what_they_are() -> None:
    types = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    files = [path for path in page_folder().iterdir() if path.suffix in types]
    assert len(files) > 3

    async def scenario() -> None:
        async with client_of(app_of(GatedBackend())) as client:
            for path in files:
                answer = await client.get(f"/{path.name}")
                assert answer.content == path.read_bytes()
                assert answer.headers["content-type"].partition(";")[0] == types[path.suffix]
                again = await client.get(f"/{path.name}", headers={"if-none-match": answer.headers["etag"]})
                assert answer.headers["cache-control"] == "no-cache" and again.status_code == 304
            assert (await client.get("/")).content == (page_folder() / "index.html").read_bytes()

    run(scenario())


def test_nothing_else_is_served() -> None:
    async def scenario() -> None:
        async with client_of(app_of(GatedBackend())) as client:
            for path in ("/../__init__.py", "/..%2f__init__.py", "/%2e%2e/errors.py", "/none.js", "/README", "/a/b.js"):
                answer = await client.get(path)
                assert (answer.status_code, code_of(answer)) == (404, "not_found"), path

    run(scenario())


def test_every_answer_has_the_headers_that_keep_pages_to_themselves() -> None:
    async def scenario() -> None:
        async with client_of(app_of(GatedBackend())) as client:
            for path in ("/", "/v1/model", "/none", "/metrics"):
                headers = (await client.get(path)).headers
                assert headers["x-content-type-options"] == "nosniff"
                policy = headers["content-security-policy"]
                assert "default-src 'self'" in policy and "http" not in policy and "unsafe" not in policy
                assert "frame-ancestors 'none'" in policy
            assert (await client.get("/v1/model")).headers["cache-control"] == "no-store"

    run(scenario())


def test_the_page_asks_nobody_else() -> None:
    """What its policy would forbid: files, fonts or scripts of other hosts, and scripts and styles in the page."""
    for path in page_folder().iterdir():
        if path.suffix in (".html", ".css"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", text), path
    page = Path(page_folder() / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
