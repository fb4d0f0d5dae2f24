from collections import Counter
from pathlib import Path

import pytest

from shapes import write_split
from sparseinst.data.check.fixing import write_parts
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.splitting import merged, split_content
from sparseinst.errors import InputError


def of_class(part: dict) -> Counter:
    return Counter(item["category_id"] for item in part["annotations"])


def test_every_class_is_divided_evenly(shared: Path, tmp_path: Path) -> None:
    source = resolve_data(shared / "data" / "carparts")
    root, content = merged(source)
    assert len(content["images"]) == 400 and len(content["categories"]) == 18
    parts = split_content(root, content, {"train": 0.7, "val": 0.2, "test": 0.1})
    whole = of_class(content)
    for name, share in (("train", 0.7), ("val", 0.2), ("test", 0.1)):
        assert len(parts[name]["images"]) == pytest.approx(400 * share, abs=6)
        for key, number in of_class(parts[name]).items():
            assert number == pytest.approx(whole[key] * share, abs=max(3, 0.25 * share * whole[key]))
    assert sum(len(part["annotations"]) for part in parts.values()) == len(content["annotations"])
    (twins,) = [
        {name for name, part in parts.items() for item in part["images"] if item["file_name"].endswith(file)}
        for file in [("/train109.jpg", "/train11.jpg")]
    ]
    assert len(twins) == 1  # the same picture, which the set has twice
    found = resolve_data(write_parts(tmp_path / "out", "cars", {name: (root, p) for name, p in parts.items()}))
    assert set(found.splits) == {"train", "val", "test"} and found.name == "cars"


@pytest.mark.parametrize("group", ["scan[0-9]", "(scan[0-9])_", "folder"])
def test_groups_stay_together(tmp_path: Path, group: str) -> None:
    write_split(tmp_path, "train", 12, first=0)
    source = resolve_data(tmp_path)
    root, content = merged(source)
    for number, item in enumerate(content["images"]):
        name = f"scan{number % 4}{'/' if group == 'folder' else '_'}{number}.png"
        (root / name).parent.mkdir(exist_ok=True)
        (root / item["file_name"]).rename(root / name)
        item["file_name"] = name
    parts = split_content(root, content, {"train": 0.5, "val": 0.5}, group=group)
    scans = [{item["file_name"][:5] for item in part["images"]} for part in parts.values()]
    assert len(scans[0]) == len(scans[1]) == 2 and not scans[0] & scans[1]


@pytest.mark.parametrize(
    ("shares", "group", "words"),
    [
        ({"train": 0.7, "val": 0.7}, None, "1 together"),
        ({"train": 1.0, "val": 0.0}, None, "above 0"),
        ({"train": 0.5, "val": 0.5}, "(", "regular expression"),
        ({"train": 0.5, "val": 0.5}, "patient", "a match"),
        ({"train": 0.5, "val": 0.5}, "folder", "at least 2 groups"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, shares: dict[str, float], group: str | None, words: str) -> None:
    write_split(tmp_path, "train", 3, first=0)
    root, content = merged(resolve_data(tmp_path))
    with pytest.raises(InputError, match=words):
        split_content(root, content, shares, group=group)
