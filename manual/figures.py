"""Figures of the manual against the files they come from: `python manual/figures.py` lists what does not agree.

A paragraph, list item or table that names files of benchmarks/results states figures of these files, and a table
without names of its own those of the paragraph before it. Each of its decimals, percentages and numbers from 100 on has
to be in one of the files, rounded as it is shown. Where no file is named, nothing that looks measured may stand: no
second digit behind the point, no per cent or milliseconds. Comments below the paragraph say what else is in it:

    <!-- given: 300 0.5 -->                         settings and sizes, which nobody measured
    <!-- figure: 8.5 = line:old/ms / line:new/ms -->  computed from values by their keys in benchmarks/results/line.json
"""

import json
import math
import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from blocks import FENCE, ROOT, pages, read

RESULTS = ROOT / "benchmarks" / "results"
SCALES = {
    "%": (1, 100), "ms": (1, 1000), "MB": (1, 1e-3, 1e-6), "GB": (1, 1e-9), "kB": (1, 1e-3), "million": (1e-6,),
    "M": (1, 1e-6), "milliseconds": (1, 1000), "microseconds": (1, 1e6), "minutes": (1, 1 / 60), "points": (100,),
    "GFLOP": (1, 1e-9), "seconds": (1, 1e-3),
}  # fmt: skip
"""Unit behind a number -> what values of the files are multiplied by before they are compared."""
MEASURED = ("%", "ms", "GFLOP", "milliseconds", "microseconds")
"""Units of what is measured, wherever it stands."""
_NAMED = re.compile(r"benchmarks/results/(\w+)\.json")
_MADE = re.compile(r"`python benchmarks/(\w+)\.py([^`]*)`")
_GIVEN = re.compile(r"<!-- given: ([^>]*) -->")
_COMPUTED = re.compile(r"<!-- figure: ([\d.,-]+) = ([^>]*?) -->")
_NUMBER = re.compile(r"(?<![\w./-])([+-]?\d[\d,]*(?:\.\d+)?)(?![\w-]*\w)(?!\.\d)\s?(%|[A-Za-z]+)?")
_NOT_FIGURES = re.compile(
    r"`[^`]*`|<!--.*?-->|\]\([^)]*\)|[\d,]+ x [\d,]+(?: x \d+)?|\d+x\d+|\b[\d.]+ to [\d.]+(?= pixels)|"
    r"IoU \d[\d.]*(?:(?:, | and | to )\d[\d.]*)*|[Vv]ersion \d[\d.]*|Python \d[\d.]*|(?:above|below|at) \d+(?:\.\d)? %|"
    r"(?:DSB|BBBC|COCO|CVPR|ImageNet|et al\.,) \d+",
    re.S,
)
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Chunk(NamedTuple):
    """A paragraph, list item or table, and the names of the files that it or what it belongs to cites."""

    line: int
    text: str
    files: tuple[str, ...]


def chunks(markdown: str) -> Iterator[Chunk]:
    """Paragraphs, list items and tables of a page."""
    plain = FENCE.sub(lambda match: "\n" * match[0].count("\n"), markdown)
    before: tuple[str, ...] = ()
    for match in re.finditer(r"(?:.+\n?)+", plain):
        parts = re.split(r"\n(?=\s*- )", match[0].rstrip("\n"))
        line = plain[: match.start()].count("\n") + 1
        for part in parts:
            named = (*_NAMED.findall(part), *_made(part))
            files = named or (before if part.lstrip().startswith(("|", "<!--")) else ())
            before = files
            yield Chunk(line, part, files)
            line += part.count("\n") + 1


def _made(text: str) -> Iterator[str]:
    """Names of the files that commands within a text write."""
    for match in _MADE.finditer(text):
        option = re.search(r"--name (\w+)", match[2])
        name = option[1] if option else match[1]
        if (RESULTS / f"{name}.json").is_file():
            yield name


@cache
def values(name: str) -> tuple[float, ...]:
    """All numbers of a file of results, those within its texts and keys as well.

    Raises:
        ValueError: if there is no such file.
    """
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        raise ValueError(f"expected a file of results, got {path.relative_to(ROOT)}, which is not there")
    return tuple(float(text) for text in set(_PLAIN.findall(path.read_text(encoding="utf-8"))))


def agrees(shown: str, value: float) -> bool:
    """Whether a value, rounded as a number is shown, is that number."""
    digits = len(shown.partition(".")[2])
    return math.isclose(value, float(shown), abs_tol=0.5 * 10**-digits * (1 + 1e-9), rel_tol=0)


def looked_up(key: str) -> float:
    """The value of FILE:KEY/KEY/..., list items by their number.

    Raises:
        ValueError: if nothing or no number is there.
    """
    name, _, path = key.partition(":")
    content = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    found: Any = content.get("figures", content)
    for step in path.split("/"):
        try:
            found = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ValueError(f"nothing at {step!r} of {key}") from error
    if not isinstance(found, int | float):
        raise ValueError(f"expected a number at {key}, got {str(found)[:60]}")
    return float(found)


def computed(expression: str) -> float:
    """An expression of + - * / and keys."""
    terms = [str(looked_up(term)) if ":" in term else term for term in re.split(r"\s([-+*/()])\s", expression)]
    if any(not re.fullmatch(r"[-+*/()]|[\d.e+-]+", term) for term in terms):
        raise ValueError(f"expected numbers, keys and + - * / with spaces between, got {expression}")
    return float(eval(" ".join(terms), {"__builtins__": {}}))  # numbers and signs alone


def problems(markdown: str) -> list[str]:
    """What of a page's figures is in none of the files it names."""
    found, given = [], set[str]()
    for chunk in chunks(markdown):
        before = given if chunk.text.startswith("|") else set()  # what is said above a table is said of the table
        given = before | {text for match in _GIVEN.finditer(chunk.text) for text in match[1].split()}
        for match in _COMPUTED.finditer(chunk.text):
            given.add(match[1])
            if not agrees(match[1].replace(",", ""), computed(match[2])):
                found.append(f"line {chunk.line}: {match[1]} is {computed(match[2]):.4g}: {match[2]}")
        known = [value for name in chunk.files for value in values(name)]
        for number, unit in _numbers(chunk.text):
            shown = number.replace(",", "").lstrip("+")
            scales = SCALES.get(unit, (1,)) if "|" not in chunk.text else (1, 100, 1e-6, 1e-9, 1000, 1e-3)
            if number in given or any(agrees(shown, value * by) for value in known for by in scales):
                continue
            if chunk.files:
                found.append(f"line {chunk.line}: {number} {unit} is not in {', '.join(chunk.files)}")
            elif unit in MEASURED or re.search(r"\.\d\d", number):
                found.append(f"line {chunk.line}: {number} {unit} looks measured, and no file of results is named")
    return found


def _numbers(text: str) -> Iterator[tuple[str, str]]:
    """Numbers of a text that could be figures, with what stands behind them."""
    plain = _NOT_FIGURES.sub(" ", text)
    for match in _NUMBER.finditer(plain):
        number, unit = match[1].rstrip(","), match[2] or ""
        if "." in number or unit in SCALES or abs(float(number.replace(",", ""))) >= 100:
            yield number, unit


if __name__ == "__main__":
    wrong = [f"{page}, {problem}" for page in pages() for problem in problems(read(page))]
    sys.exit("\n".join(wrong) if wrong else 0)
