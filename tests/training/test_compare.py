import re
from html.parser import HTMLParser

import pytest

from shapes import tiny_preset
from sparseinst.errors import InputError
from sparseinst.training.compare.page import runs_page, table_rows
from sparseinst.training.compare.reading import differences, read_runs
from sparseinst.training.trainer import train


@pytest.fixture(scope="module")
def runs(tiny_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("all") / "runs"
    for name, lr in (("a", 1e-3), ("<b>", 2e-3)):
        train(tiny_data, tiny_preset(iterations=2), folder / name, init="random", device="cpu", lr=lr, log=())
    return folder


def test_runs_are_told_apart_by_what_differs(runs) -> None:
    found = read_runs(runs)
    assert {run.folder.name for run in found} == {"a", "<b>"}
    assert sorted(own["optim.lr"] for own in differences(found)) == ["0.001", "0.002"]
    assert all(set(own) == {"optim.lr"} for own in differences(found))
    (alone,) = read_runs(runs / "a")
    assert (alone.iterations, alone.best["iteration"], alone.running) == (2, 2, False)
    assert table_rows([alone])[0][2] == "2 of 2"


def test_the_page_stands_alone(runs) -> None:
    page = runs_page("2 runs", read_runs(runs))
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert not re.search(r"(src|href)=|url\(|@import", page)
    assert page.count("<polyline") == 4

    class Balanced(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag, attrs) -> None:
            if tag not in ("meta", "path", "circle", "polyline") or tag in ("polyline", "circle"):
                self.open.append(tag)

        def handle_startendtag(self, tag, attrs) -> None:
            pass

        def handle_endtag(self, tag) -> None:
            assert self.open.pop() == tag

    parser = Balanced()
    parser.feed(page)
    assert parser.open == []


def test_no_runs(tmp_path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="expected"):
            read_runs(folder)
