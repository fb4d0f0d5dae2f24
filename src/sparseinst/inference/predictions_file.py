"""What was found in all images of a run, as one COCO file; kept line by line until then, so that a run may die."""

import json
import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from sparseinst.errors import InputError, listed
from sparseinst.files import UNFINISHED, atomic
from sparseinst.inference.writers import to_coco
from sparseinst.parsing import readable
from sparseinst.structures import Instances

_LOGGER = logging.getLogger(__name__)
_UNREAD = "backslashreplace"  # a file name need not be text; JSON knows these marks


class Earlier(NamedTuple):
    """What became of one image before a run went on.

    Args:
        file: its file's place among all.
        page: its place in the file; None where it is the only one.
        labels: of what was found; None if it could not be read.
        error: why not.
    """

    file: int
    page: int | None
    labels: list[int] | None
    error: str | None


class PredictionsFile:
    """A COCO dataset with running ids, whose annotations carry `score`; made in a `with` block.

    While the run goes on there is a file beside it: a line of JSON with the settings, then one for each image, written
    as soon as it is done. Where the block ends well, the COCO file is made of it, and it goes. Where it ends otherwise,
    the COCO file holds what was done until then, and the lines stay; after a SIGKILL there are the lines alone.

    Args:
        path: the COCO file.
        classes: class names by label.
        settings: all that what is found depends on, as values that JSON holds.
        resume: go on where there are lines.

    Attributes:
        earlier: what the lines held, in order.
        complete: whether the end of the block is the end of the run; to be set to False by whoever stops it.

    Raises:
        InputError: the lines are of other settings or images.
    """

    def __init__(self, path: Path, classes: Sequence[str], settings: Mapping[str, Any], *, resume: bool) -> None:
        self.path, self.lines = path, path.with_name(f"{path.stem}{UNFINISHED}.jsonl")
        self._categories = [{"id": i + 1, "name": name} for i, name in enumerate(classes)]
        self._images, self._annotations, self.complete = 0, 0, True
        self.earlier: deque[Earlier] = deque()
        if self.lines.exists() and resume:
            self._go_on(settings)
            self._file = self.lines.open("a", encoding="utf-8", errors=_UNREAD, newline="\n")
            return
        if self.lines.exists():
            _LOGGER.warning(f"{self.lines}: a run that did not finish is begun again; resume would have gone on")
        self._file = self.lines.open("w", encoding="utf-8", errors=_UNREAD, newline="\n")
        json.dump({"settings": settings}, self._file, ensure_ascii=False)
        self._end_line()

    def add(self, file: int, page: int | None, *, image_id: int, name: str, instances: Instances) -> None:
        """Adds an image."""
        height, width = instances.size_hw
        records = to_coco(instances, image_id, range(1, len(self._categories) + 1))
        annotations = []
        for record, box, area in zip(records, instances.boxes, instances.areas, strict=True):
            x0, y0, x1, y1 = box.tolist()
            self._annotations += 1
            annotations.append({
                "id": self._annotations, **record, "bbox": [x0, y0, x1 - x0, y1 - y0], "area": float(area), "iscrowd": 0
            })  # fmt: skip
        image = {"id": image_id, "file_name": name, "width": width, "height": height}
        self._write({"file": file, "page": page, "image": image, "annotations": annotations})

    def add_unread(self, file: int, page: int | None, error: str) -> None:
        """Notes that an image could not be read."""
        self._write({"file": file, "page": page, "error": error})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.close()
            self._make()
            if self.complete:
                self.lines.unlink()
            return
        with suppress(OSError):  # a full disk is told of by what was raised
            self._file.close()
        with suppress(OSError):
            if self._images:
                self._make()
            else:
                self.lines.unlink()

    def _write(self, line: Mapping[str, Any]) -> None:
        json.dump(line, self._file, ensure_ascii=False, allow_nan=False)
        self._end_line()
        self._images += 1

    def _end_line(self) -> None:
        self._file.write("\n")
        self._file.flush()

    def _go_on(self, settings: Mapping[str, Any]) -> None:
        """Reads the lines, and cuts off one that is torn."""
        whole = 0
        with (
            readable(self.lines, expected="the lines of a run", hint="leave --resume out"),
            self.lines.open("rb") as file,
        ):
            for content, size in _whole_lines(file):
                if whole == 0:
                    self._check(content.get("settings", {}), settings)
                else:
                    self._remember(content)
                whole += size
        if whole == 0:
            raise InputError(f"{self.lines}: expected the lines of a run, found none: leave --resume out")
        with self.lines.open("r+b") as torn:
            torn.truncate(whole)

    def _check(self, there: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        now = json.loads(json.dumps(settings))
        changed = sorted(name for name in {*there, *now} if there.get(name) != now.get(name))
        if changed:
            raise InputError(
                f"{self.lines}: expected the run that it is of, got other values of {listed(changed)}: give what was "
                "given then, or leave --resume out to begin anew"
            )

    def _remember(self, content: Mapping[str, Any]) -> None:
        annotations = content.get("annotations")
        labels = None if annotations is None else [record["category_id"] - 1 for record in annotations]
        self._images += 1
        self._annotations += len(labels or ())
        self.earlier.append(Earlier(content["file"], content["page"], labels, content.get("error")))

    def _make(self) -> None:
        """The COCO file of the lines, one after the other: there may be more than memory holds."""
        with atomic(self.path) as temporary, temporary.open("w", encoding="utf-8", errors=_UNREAD) as file:
            images = (line["image"] for line in self._read() if "image" in line)
            file.write('{"images": [')
            _write_list(file, images)
            file.write('], "annotations": [')
            _write_list(file, chain.from_iterable(line.get("annotations", ()) for line in self._read()))
            file.write(f'], "categories": {json.dumps(self._categories, ensure_ascii=False)}}}')

    def _read(self) -> Iterator[dict[str, Any]]:
        with self.lines.open("rb") as file:
            for content, _ in _whole_lines(file):
                yield content


def _whole_lines(file: IO[bytes]) -> Iterator[tuple[dict[str, Any], int]]:
    """Each line with its length in bytes, until one that is torn."""
    for line in file:
        try:
            content = json.loads(line) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            return
        if not isinstance(content, dict):
            return
        yield content, len(line)


def _write_list(file: IO[str], values: Iterator[Any]) -> None:
    for number, value in enumerate(values):
        file.write(", " if number else "")
        json.dump(value, file, ensure_ascii=False, allow_nan=False)
