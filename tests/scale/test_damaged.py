"""Files of a run or a job that somebody has damaged: one line that says what to do."""

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparseinst.errors import InputError
from sparseinst.inference.predictions_file import PredictionsFile
from sparseinst.scale.listing import list_input
from sparseinst.scale.pieces import cut_input
from sparseinst.scale.reading import read_groups
from sparseinst.scale.results import read_rows
from sparseinst.scale.rows import read_facts


@pytest.mark.parametrize(
    "metadata", [None, {b"sparseinst": b"["}, {b"sparseinst": b"[" * 99999}, {b"sparseinst": b"1"}]
)
def test_facts_of_another_form(tmp_path: Path, metadata: dict[bytes, bytes] | None) -> None:
    table = pa.table({"image": ["a"]}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: expected rows that .* the same command makes it again"):
        read_facts(tmp_path / "a.parquet")


def test_rows_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "rows" / "0.parquet"
    file.parent.mkdir()
    file.write_bytes(b"no table")
    with pytest.raises(InputError, match=r"expected rows that .* the same command makes it again"):
        list(read_rows(tmp_path))
    pq.write_table(pa.table({"image": ["a" * 100] * 5000}), file)
    content = bytearray(file.read_bytes())
    content[20:60] = bytes(40)
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"expected rows that .* the same command makes it again"):
        list(read_rows(tmp_path))


@pytest.mark.parametrize("line", ["{}", '{"file": 0}', '{"annotations": 1}', '{"annotations": [{}]}'])
def test_lines_of_a_run_of_another_form(tmp_path: Path, line: str) -> None:
    with pytest.raises(KeyboardInterrupt), PredictionsFile(tmp_path / "a.json", ["a"], {}, resume=False) as lines:
        lines.add_unread(0, None, "broken")
        raise KeyboardInterrupt
    (unfinished,) = tmp_path.glob("*.jsonl")
    with unfinished.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=r"expected the lines of a run.*leave --resume out"):
        PredictionsFile(tmp_path / "a.json", ["a"], {}, resume=True)


def test_an_image_that_unpacks_to_too_much_is_a_row_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w:gz") as archive:
        for name, content in (("0.png", bytes(10**6)), ("1.png", b"small")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    monkeypatch.setattr("sparseinst.scale.reading.LARGEST_FILE", 10**5)
    (piece,) = cut_input(list_input(str(tmp_path / "a.tar")), rows=9, limit=None, column=None)
    (group,) = read_groups(piece, rows=9, size=9, done=frozenset())
    large, small = group.items
    assert large.content is None and "expected an image file of at most 0 MB, got 1" in str(large.error)
    assert small.content == b"small"


def test_a_member_whose_size_leads_beyond_all_files_tears_its_tar(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a.txt")
    member.size = 2**62
    (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    (piece,) = cut_input(list_input(str(tmp_path / "a.tar")), rows=9, limit=None, column=None)
    (group,) = read_groups(piece, rows=9, size=9, done=frozenset())
    (item,) = group.items
    assert item.image.endswith("a.tar") and item.content is None and item.error
