"""How a file is damaged: as bytes, as text, and as what its format says it is, so that damage gets past first checks.

Everything is drawn from one `random.Random`: the same generator gives the same damage.
"""

import contextlib
import io
import json
import math
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import yaml

_NUMBERS = (
    0, 1, 2, 3, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1,
)  # fmt: skip
_TEXT_NUMBERS = (
    "0", "-1", "1e308", "1e999", "nan", "inf", "-inf", "9" * 30, "1" * 5000, "0x10", "1_000", "", "\u0661", "-0.0",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 255, 65536, 2**31, 2**63, -(2**63), 2**64, 10**400, -(10**400), 0.5, 1e308, -1e308,
    math.nan, math.inf, -math.inf, "", "a", "1", "nan", "\ud800", "\0", "\x1b[31m\n", "é" * 300, "a" * 5000, "../..",
    "/dev/null", [], {}, [[]], [None], [{}], [0] * 7, [1e999], {"a": 1}, {"": None}, [["a"]], "[" * 50,
)  # fmt: skip
"""What a value is replaced by."""
_WORDS = (
    b"\0", b"\xff" * 4, b"%s", b"\r\n", b"\xef\xbb\xbf", b"{}", b"[]", b"\xed\xa0\x80", b"../", b"--", b";", b"\x1b[2J",
)  # fmt: skip
_DEEP = 100_000
"""Brackets of the one text that nests as deep as no reader follows."""
_LARGEST = 2**20
"""Bytes of a damaged file at most."""

Content = bytes
Mutation = Callable[[random.Random, Content], Content]


def mutated(chance: random.Random, name: str, content: bytes, others: list[bytes]) -> bytes:
    """A damaged copy.

    Args:
        chance: decides.
        name: of the file; its suffix says what it is made of.
        content: the whole file.
        others: files of the same kind, for splices.
    """
    kind = _KINDS.get(name.lower().rpartition(".")[2])
    made = content
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        structured = kind is not None and chance.random() < 0.75
        if structured:
            with contextlib.suppress(Exception):  # what is damaged already may have no form any more
                made = kind(chance, made)
                continue
        made = _bytes(chance, made, others)
    return made[:_LARGEST]


def _bytes(chance: random.Random, content: bytes, others: list[bytes]) -> bytes:
    data = bytearray(content)
    size = len(data)
    match chance.randrange(10):
        case 0:
            return bytes(data[: chance.randrange(size + 1)])
        case 1 | 2 if size:
            for _ in range(chance.randint(1, 8)):
                data[_place(chance, size)] ^= 1 << chance.randrange(8)
        case 3 if size:
            for _ in range(chance.randint(1, 8)):
                data[_place(chance, size)] = chance.choice((0, 255, 127, 128, chance.randrange(256)))
        case 4 | 5 if size > 8:
            width = chance.choice((2, 4, 4, 8))
            number = chance.choice((*_NUMBERS, size, size - 1, size + 1)) % 2 ** (8 * width)
            place = min(_place(chance, size), size - width)
            data[place : place + width] = number.to_bytes(width, chance.choice(("little", "big")))
        case 6:
            start = chance.randrange(size + 1)
            del data[start : start + chance.choice((1, 2, 4, 16, 256))]
        case 7:
            start = chance.randrange(size + 1)
            part = data[start : start + chance.choice((1, 4, 16, 256))]
            data[start:start] = part * chance.choice((1, 2, 50))
        case 8:
            start = chance.randrange(size + 1)
            data[start:start] = chance.choice(_WORDS)
        case _:
            other = chance.choice(others) if others else content
            here, there = chance.randrange(size + 1), chance.randrange(len(other) + 1)
            return bytes(data[:here]) + other[there:]
    return bytes(data)


def _place(chance: random.Random, size: int) -> int:
    """Anywhere, but headers and trailers more often than what is between."""
    match chance.randrange(4):
        case 0:
            return chance.randrange(min(size, 64))
        case 1:
            return size - 1 - chance.randrange(min(size, 128))
        case 2:
            return chance.randrange(min(size, 600))
        case _:
            return chance.randrange(size)


def _json(chance: random.Random, content: bytes) -> bytes:
    if chance.random() < 0.002:
        return content[: chance.randrange(len(content) + 1)] + chance.choice((b"[", b'{"a":')) * _DEEP
    tree = _tree(chance, json.loads(content))
    return json.dumps(tree, ensure_ascii=chance.random() < 0.8).encode("utf-8", "surrogatepass")


def _yaml(chance: random.Random, content: bytes) -> bytes:
    tree = _tree(chance, yaml.load(content, yaml.CSafeLoader))
    if chance.random() < 0.1:
        return b"a: &a [1, 2, 3]\nb: &b [*a, *a]\n" + content
    return json.dumps(tree).encode()  # which is YAML, too


def _tree(chance: random.Random, tree: Any) -> Any:
    """A value in which one place has been changed, found by going down at random."""
    whole = [tree]
    holder, key = whole, 0
    while isinstance(holder[key], dict | list) and holder[key] and chance.random() < 0.85:
        holder, key = holder[key], None
        key = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
    match chance.randrange(8):
        case 0 if len(holder) > 1 or holder is not whole:
            del holder[key]
        case 1:
            holder[key] = [holder[key]]
        case 2 if isinstance(holder, dict):
            holder[chance.choice(("", "a", "id", "\x1b", "a" * 300, *map(str, holder)))] = holder.pop(key)
        case 3 if isinstance(holder, list) and holder is not whole:
            holder.append(holder[key])
        case 4 if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = holder[key] * chance.choice((-1, 10, 1000, 1e9, 1e-9)) + chance.choice((0, 1, 0.5))
        case 5 if isinstance(holder[key], str):
            holder[key] = _text(chance, holder[key].encode("utf-8", "surrogatepass")).decode("utf-8", "surrogateescape")
        case _:
            holder[key] = chance.choice(_VALUES)
    return whole[0] if whole else None


def _text(chance: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    line = chance.randrange(len(lines))
    words = lines[line].replace(b",", b" , ").split(b" ")
    match chance.randrange(6):
        case 0:
            del lines[line]
        case 1:
            lines.insert(line, lines[chance.randrange(len(lines))])
        case 2:
            words[chance.randrange(len(words))] = chance.choice(_TEXT_NUMBERS).encode()
            lines[line] = b" ".join(words).replace(b" , ", b",")
        case 3:
            del words[chance.randrange(len(words))]
            lines[line] = b" ".join(words).replace(b" , ", b",")
        case 4:
            lines[line] += b" " + chance.choice(words)
        case _:
            place = chance.randrange(len(lines[line]) + 1)
            word = chance.choice((*_WORDS, b"a" * 3000, b"=", b":", b"'"))
            lines[line] = lines[line][:place] + word + lines[line][place:]
    return b"\n".join(lines)


def _safetensors(chance: random.Random, content: bytes) -> bytes:
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    about = header.get("__metadata__", {})
    if about and chance.random() < 0.6:
        key = chance.choice(list(about))
        about[key] = _json(chance, about[key].encode()).decode("utf-8", "replace")
    else:
        header = _tree(chance, header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


def _zip(chance: random.Random, content: bytes) -> bytes:
    """One part of an archive damaged, the archive whole; stored, as torch does."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(made, "w") as sink:
        names = source.namelist()
        parts = {name: source.read(name) for name in names}
        name = chance.choice(names)
        if chance.random() < 0.1:
            parts[chance.choice((name + "x", "", "../a"))] = parts.pop(name)
        else:
            texts = [name for name in names if name.endswith(".json")]
            name = chance.choice(texts) if texts and chance.random() < 0.7 else name
            parts[name] = mutated(chance, name, parts[name], [])
        for name, part in parts.items():
            sink.writestr(name, part)
    return made.getvalue()


def _png(chance: random.Random, content: bytes) -> bytes:
    """One chunk damaged, its checksum right."""
    chunks, place = [], 8
    while place + 12 <= len(content):
        (size,) = struct.unpack(">I", content[place : place + 4])
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    number = chance.randrange(len(chunks))
    kind, data = chunks[number]
    if chance.random() < 0.2:
        chunks.insert(chance.randrange(len(chunks)), chunks[number])
    else:
        packed = kind == b"IDAT" and chance.random() < 0.5
        if packed:
            with contextlib.suppress(zlib.error):
                data = zlib.compress(_bytes(chance, zlib.decompress(data), []))
        chunks[number] = (kind, data if packed else _bytes(chance, data, []))
    written = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return content[:8] + b"".join(written)


def _tar(chance: random.Random, content: bytes) -> bytes:
    """A header damaged, its checksum right."""
    start = 512 * chance.randrange(max(1, len(content) // 512))
    block = bytearray(_bytes(chance, content[start : start + 512], []).ljust(512, b"\0")[:512])
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return content[:start] + bytes(block) + content[start + 512 :]


_KINDS: dict[str, Mutation] = {
    **dict.fromkeys(("json", "geojson", "zattrs", "zarray", "zgroup", "ipynb"), _json),
    **dict.fromkeys(("yaml", "yml"), _yaml),
    **dict.fromkeys(("txt", "csv", "xml", "set", "zone", "name", "request"), _text),
    **dict.fromkeys(("pt2", "pth", "zip"), _zip),
    "safetensors": _safetensors, "png": _png, "tar": _tar,
}  # fmt: skip
"""By suffix: damage that leaves the outer form whole."""
