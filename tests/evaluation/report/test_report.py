"""The report's files: page, numbers and pictures."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from scenes import IDS, NAMES, SIDE, random_scene, record, write_truth
from sparseinst.config.preprocess import ShortSideConfig
from sparseinst.data.coco import CocoDataset
from sparseinst.errors import InputError
from sparseinst.evaluation.coco_eval import score_results
from sparseinst.evaluation.report.contents import EvaluationFacts
from sparseinst.evaluation.report.files import write_report
from sparseinst.evaluation.report.folder import check_report_folder
from sparseinst.runtime.origin import origin

Records = list[dict[str, Any]]


class Strict(HTMLParser):
    """Collects what a page refers to, and fails where tags do not close in order."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        assert not [name for name, _ in attrs if name.startswith("on")], "handlers in attributes"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def written(
    folder: Path, annotations: Records, detections: Records, *, names: tuple[str, ...] = NAMES, file: str = "{}.png"
) -> tuple[dict[str, Any], str, Strict]:
    """A report of 6 images in `folder`/report: its numbers, its page, and the page as parsed."""
    truth = write_truth(folder / "truth.json", annotations, images=6)
    content = json.loads(truth.read_text())
    for category, name in zip(content["categories"], names, strict=True):
        category["name"] = name
    for image in content["images"]:
        image["file_name"] = file.format(image["id"])
        cv2.imwrite(str(folder / image["file_name"]), np.full((SIDE, SIDE), 90, np.uint8))
    truth.write_text(json.dumps(content))
    groups = {image["id"]: "odd" if image["id"] % 2 else "even <b>" for image in content["images"]}
    scored = score_results(truth, detections, max_dets=100, groups=groups)
    about = EvaluationFacts(
        "tiny & small", "Torch, cpu", "64 px", "here", str(truth), "0" * 64, 0.3, ShortSideConfig(), origin()
    )
    write_report(folder / "report", scored, CocoDataset.load(folder, truth), about, groups=groups)
    text = (folder / "report/index.html").read_text()
    parsed = Strict()
    parsed.feed(text)
    assert parsed.open == []
    return json.loads((folder / "report/report.json").read_text()), text, parsed


def test_numbers_page_and_pictures_agree(tmp_path: Path) -> None:
    numbers, text, parsed = written(tmp_path, *random_scene(0))
    assert numbers["evaluation"]["ap"] > 0
    for value in (numbers["evaluation"]["ap"], numbers["boundary"]["ap"], max(numbers["thresholds"]["f1"])):
        assert f"<b>{value:.4f}</b>" in text
    assert "1 to 10 instances" in text and numbers["by_count"][0]["figures"]["ap"] is not None
    assert [part["name"] for part in numbers["by_group"]] == ["even <b>", "odd"]
    assert sum(part["images"] for part in numbers["by_group"]) == 6
    assert sum(part["instances"] for part in numbers["by_count"]) == numbers["evaluation"]["instances"]
    pictures = sorted(path.name for path in (tmp_path / "report/images").iterdir())
    assert [item["picture"] for item in numbers["worst"]] == [f"images/{name}" for name in pictures] != []
    assert {*parsed.references} == {item["picture"] for item in numbers["worst"]}
    assert cv2.imread(str(tmp_path / "report/images" / pictures[0])).shape[0] >= SIDE
    assert numbers["about"]["origin"]["versions"]["sparseinst"]


def test_the_page_asks_nobody_for_anything(tmp_path: Path) -> None:
    _, text, parsed = written(tmp_path, *random_scene(1))
    assert not re.search(r"(https?:)?//\w", text) and "@import" not in text and "url(" not in text
    assert not {"link", "iframe", "object", "embed"} & {*parsed.tags}
    assert all(re.fullmatch(r"images/\d\d\.jpg", item) for item in parsed.references)


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    names = ("<script>alert(1)</script>", 'a"onload="x', "b&b")
    numbers, text, parsed = written(tmp_path, *random_scene(2), names=names, file="<img src=x>'{}\".png")
    assert parsed.tags.count("script") == 1 and "alert(1)</script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and "b&amp;b" in text and "tiny &amp; small" in text
    assert "&lt;img src=x&gt;" in text and numbers["worst"][0]["file_name"].startswith("<img src=x>")
    assert "even &lt;b&gt;" in text
    assert {*parsed.references} == {item["picture"] for item in numbers["worst"]}


def test_a_class_can_be_picked(tmp_path: Path) -> None:
    numbers, text, parsed = written(tmp_path, *random_scene(0))
    assert parsed.tags.count("option") == text.count('<div class="curve"') == len(numbers["curves"]) == 3
    assert text.count('<div class="curve" hidden>') == 2


def test_one_class_needs_no_picker(tmp_path: Path) -> None:
    _, text, parsed = written(tmp_path, [record(1, IDS[0], (0, 0, 9, 9))], [])
    assert text.count('<div class="curve">') == 1 and not {"option", "script"} & {*parsed.tags}


@pytest.mark.parametrize(
    ("annotations", "detections", "ap"),
    [
        ([record(1, IDS[0], (0, 0, 9, 9))], [], 0),
        ([], [record(1, IDS[0], (0, 0, 9, 9), score=0.5)], None),
        ([], [], None),
        ([record(1, IDS[0], (0, 0, 9, 9), iscrowd=1)], [record(1, IDS[0], (0, 0, 9, 9), score=0.5)], None),
    ],
)
def test_nothing_found_or_nothing_to_find(tmp_path: Path, annotations: Records, detections: Records, ap: float) -> None:
    numbers, text, _ = written(tmp_path, annotations, detections)
    assert numbers["evaluation"]["ap"] == numbers["boundary"]["ap"] == ap
    assert "nan" not in text and max(numbers["thresholds"]["f1"]) == 0
    crowd = any(item["iscrowd"] for item in annotations)
    assert len(numbers["worst"]) == (not crowd and bool(annotations or detections))


def test_without_a_mistake_there_is_no_worst_image(tmp_path: Path) -> None:
    one = record(1, IDS[0], (0, 0, 9, 9))
    numbers, text, _ = written(tmp_path, [one], [{**one, "score": 0.9}])
    assert numbers["worst"] == [] and "No image has a missed instance" in text
    assert numbers["evaluation"]["ap"] == numbers["boundary"]["ap"] == pytest.approx(1)


def test_an_earlier_report_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    scene = [record(1, IDS[0], (0, 0, 9, 9))]
    first, *_ = written(tmp_path, scene, [])
    second, *_ = written(tmp_path, scene, [{**scene[0], "score": 0.9}])
    assert len(first["worst"]) == 1 and list((tmp_path / "report/images").iterdir()) == [] == second["worst"]
    assert {path.name for path in tmp_path.iterdir()} == {f"{i}.png" for i in range(1, 7)} | {"truth.json", "report"}
    (tmp_path / "report/notes.txt").touch()
    with pytest.raises(InputError, match=r"got one that holds .*notes\.txt"):
        written(tmp_path, scene, [])
    assert json.loads((tmp_path / "report/report.json").read_text()) == second


def test_a_report_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    written(tmp_path, [record(1, IDS[0], (0, 0, 9, 9))], [])
    before = (tmp_path / "report/index.html").read_bytes()
    dataset = CocoDataset.load(tmp_path, tmp_path / "truth.json")
    scored = score_results(
        tmp_path / "truth.json",
        [],
        max_dets=100,
        groups=None,
    )
    about = EvaluationFacts("m", "b", "f", "i", "a", "0", 0.3, ShortSideConfig(), origin())
    (tmp_path / "1.png").unlink()
    with pytest.raises(InputError, match=r"1\.png"):
        write_report(tmp_path / "report", scored, dataset, about)
    assert (tmp_path / "report/index.html").read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_folders_that_do_not_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "mine/images").mkdir(parents=True)
    for folder, message in (
        (tmp_path / "file", "expected a folder, got a file"),
        (tmp_path / "file/report", "expected a folder that can be written to"),
        (tmp_path / "mine", "got one that holds images"),
    ):
        with pytest.raises(InputError, match=message):
            check_report_folder(folder)
    check_report_folder(tmp_path / "new/deep/report")
    assert (tmp_path / "new/deep").is_dir()
