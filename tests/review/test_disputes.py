"""Spoiled annotations and a network that sees what is right."""

import json
from pathlib import Path

import pytest

from sparseinst.data.formats.reading import read_content
from sparseinst.data.formats.source import Split
from sparseinst.evaluation.inputs import detections, ground_truth
from sparseinst.review.disputes import KINDS, disputes


@pytest.fixture
def right(shared: Path) -> tuple[dict, Path]:
    path = shared / "data" / "carparts" / "val.json"
    return read_content(Split(images=path.parent / "val", annotations=path)), path


def seen(content: dict, path: Path) -> list[dict]:
    """What a network finds that is always right, and more or less sure."""
    truth = ground_truth(content, path)
    records = [
        {**{key: item[key] for key in ("image_id", "category_id", "segmentation")}, "score": 0.6 + 0.3 * (i % 7) / 6}
        for i, item in enumerate(truth["annotations"])
    ]
    return detections(records, truth, path)


def test_mistakes_stand_before_all_else(right, monkeypatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    from spoiling import spoil

    content, path = right
    spoiled, mistakes = spoil(content, part=0.06, seed=3)
    truth = ground_truth(spoiled, path)
    found = disputes(truth, seen(content, path))
    expected = {"removed": "missed", "class": "class", "outline": "outline", "added": "unseen"}
    for mistake in mistakes:
        if mistake.way == "removed":
            hits = [d for d in found if d.kind == "missed" and d.image_id == mistake.image_id]
        else:
            counts = mistake.counts.decode()
            hits = [
                d for d in found
                if d.annotation is not None and d.image_id == mistake.image_id
                and truth["annotations"][d.annotation]["segmentation"]["counts"] == counts
            ]  # fmt: skip
        assert hits and hits[0].suspicion > 0, mistake.way
        assert hits[0].kind == expected[mistake.way] or mistake.way == "outline"
    first = found[: len(mistakes)]
    assert {item.kind for item in first} == set(KINDS)
    assert len({d.annotation for d in found if d.annotation is not None}) == sum(
        d.annotation is not None for d in found
    )


def test_who_agrees_disputes_nothing(right) -> None:
    content, path = right
    found = disputes(ground_truth(content, path), seen(content, path))
    assert all(item.kind == "unseen" and item.suspicion < 0.35 for item in found)


def test_classes_that_were_not_learnt_are_left_alone(right) -> None:
    content, path = right
    truth = ground_truth(content, path)
    assert disputes(truth, []) == []
    wheel = next(c["id"] for c in truth["categories"] if c["name"] == "wheel")
    found = disputes(truth, [item for item in seen(content, path) if item["category_id"] == wheel])
    assert {truth["annotations"][d.annotation]["category_id"] for d in found if d.annotation is not None} <= {wheel}


def test_no_image_is_no_dispute() -> None:
    truth = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    assert disputes(truth, []) == [] and json.dumps(truth)
