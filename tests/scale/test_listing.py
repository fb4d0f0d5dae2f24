from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import fsspec
import pytest

from scale_rows import rows_of
from sparseinst import InputError
from sparseinst.scale.job import run_batch
from sparseinst.scale.listing import list_input


class Quiet(SimpleHTTPRequestHandler):
    """Gives parts of files, as servers of data do, where `ranges` is set."""

    ranges = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        asked, path = self.headers.get("Range"), Path(self.translate_path(self.path))
        if not self.ranges or asked is None or not path.is_file():
            super().do_GET()
            return
        content = path.read_bytes()
        start, _, end = asked.removeprefix("bytes=").partition("-")
        part = content[int(start) : int(end) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {start}-{int(start) + len(part) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(part)


@pytest.fixture
def served(folder, shards, table, tmp_path):
    """All files behind a local HTTP server."""
    root = tmp_path / "served"
    root.mkdir()
    for source in (folder, shards, table.parent):
        (root / source.name).symlink_to(source)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root))) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def wanted(folder, settings, tmp_path):
    run_batch(str(folder), tmp_path / "wanted", settings(), processes=0)
    return without_names(rows_of(tmp_path / "wanted"))


def test_a_server_gives_the_same_rows(served, folder, files, shards, table, wanted, settings, tmp_path) -> None:
    listed = tmp_path / "urls.txt"
    listed.write_text("".join(f"{served}/{folder.name}/{path.relative_to(folder)}\n" for path in files))
    for number, source in enumerate((
        str(listed), f"{served}/{shards.name}/", f"{served}/{table.parent.name}/images.parquet",
    )):  # fmt: skip
        out = tmp_path / f"out{number}"
        run_batch(source, out, settings(), processes=0)
        assert without_names(rows_of(out)) == wanted, source
    rows = rows_of(tmp_path / "out1")
    assert rows[0]["image"] == "part-0.tar/00.png"


def test_tar_files_need_no_ranges_and_parquet_says_that_it_does(
    served, shards, table, wanted, settings, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(Quiet, "ranges", False)
    run_batch(f"{served}/{shards.name}/", tmp_path / "tar", settings(), processes=0)
    assert without_names(rows_of(tmp_path / "tar")) == wanted
    run_batch(f"{served}/{table.parent.name}/images.parquet", tmp_path / "table", settings(), processes=0)
    (row,) = rows_of(tmp_path / "table")
    assert row["status"] == "failed" and "range requests" in row["error"]


def test_a_file_that_a_server_does_not_have_is_a_row(served, settings, tmp_path) -> None:
    listed = tmp_path / "urls.txt"
    listed.write_text(f"{served}/gone.png\n")
    run_batch(str(listed), tmp_path / "out", settings(), processes=0)
    (row,) = rows_of(tmp_path / "out")
    assert row["status"] == "failed" and "gone.png" in row["error"]


def test_memory_and_file_urls(folder, files, wanted, settings, tmp_path) -> None:
    memory = fsspec.filesystem("memory")
    for path in files:
        memory.pipe(f"/batch/in/{path.relative_to(folder)}", path.read_bytes())
    run_batch("memory://batch/in", tmp_path / "memory", settings(), processes=0)
    run_batch(f"file://{folder}", tmp_path / "file", settings(), processes=0)
    rows = rows_of(tmp_path / "memory")
    assert rows == rows_of(tmp_path / "file") and without_names(rows) == wanted
    assert list_input("memory://batch/in/0[1-2].png").names.to_pylist() == ["01.png", "02.png"]
    with pytest.raises(InputError, match="give 0 processes"):
        run_batch("memory://batch/in", tmp_path / "processes", settings(), processes=1)


def test_a_result_in_the_folder_of_its_images_is_no_input(shards, folder, tmp_path) -> None:
    for path in folder.glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "out/rows").mkdir(parents=True)
    (tmp_path / "out/rows/0000000-000000.parquet").touch()
    assert list_input(str(tmp_path), out=tmp_path / "out").kind == "images"
    (tmp_path / "a.tar").write_bytes((shards / "part-0.tar").read_bytes())
    assert list_input(str(tmp_path), out=tmp_path / "out").kind == "tar"
    assert list_input(str(tmp_path / "*.png")).names.to_pylist()[0] == "00.png"


def test_absent_extras_are_named(tmp_path) -> None:
    for scheme, extra in (("s3", "s3"), ("gs", "gs")):
        pytest.importorskip("fsspec")
        try:
            fsspec.get_filesystem_class(scheme)
        except ImportError:
            with pytest.raises(InputError, match=rf"sparseinst\[{extra}\]"):
                list_input(f"{scheme}://bucket/images")


def without_names(rows):
    return [{name: value for name, value in row.items() if name != "image"} for row in rows]


def test_paths_are_relative_to_what_was_named(folder: Path) -> None:
    assert list_input(str(folder / "**/*.png")).names.to_pylist()[-1] == "sub/09.png"
    assert list_input(str(folder / "01.png")) == list_input(str(folder / "01.png"))
    assert list_input(str(folder / "01.png")).names.to_pylist() == ["01.png"]
