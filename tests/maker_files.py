"""Small CZI and LIF files, made byte by byte as far as their readers look, uncompressed."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_LIF_DIMENSIONS = {"X": 1, "Y": 2, "Z": 3, "T": 4}


def write_lif(path: Path, images: dict[str, tuple[NDArray[np.uint16], str]], step_m: dict[str, float]) -> Path:
    """Images of axes such as CZYX by name; channels are called Green, Blue and so on."""
    elements, blocks = "", b""
    for number, (name, (array, axes)) in enumerate(images.items()):
        strides = dict(zip(axes, array.strides, strict=True))
        described = "".join(
            f'<DimensionDescription DimID="{_LIF_DIMENSIONS[axis]}" NumberOfElements="{size}" Origin="0" '
            f'Length="{step_m.get(axis, 1) * (size - 1)}" Unit="m" BitInc="0" BytesInc="{strides[axis]}"/>'
            for axis, size in zip(axes, array.shape, strict=True)
            if axis != "C"
        )
        count = array.shape[axes.index("C")] if "C" in axes else 1
        channels = "".join(
            '<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" Max="1" '
            f'Unit="" LUTName="{("Green", "Blue", "Red")[i]}" IsLUTInverted="0" BytesInc="{i * strides.get("C", 0)}" '
            'BitInc="0"/>'
            for i in range(count)
        )
        elements += (
            f'<Element Name="{name}"><Data><Image><ImageDescription><Channels>{channels}</Channels>'
            f"<Dimensions>{described}</Dimensions></ImageDescription></Image></Data>"
            f'<Memory Size="{array.nbytes}" MemoryBlockID="MemBlock_{number}"/></Element>'
        )
        block = f"MemBlock_{number}".encode("utf-16-le")
        head = struct.pack("<IIBQBI", 0x70, 0, 0x2A, array.nbytes, 0x2A, len(block) // 2)
        blocks += head + block + array.tobytes()
    root = f'<Element Name="project"><Children>{elements}</Children></Element>'
    xml = f'<LMSDataContainerHeader Version="2">{root}</LMSDataContainerHeader>'.encode("utf-16-le")
    path.write_bytes(struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml + blocks)
    return path


def write_czi(path: Path, array: NDArray[np.uint16], axes: str, xml: str, *, tile: int | None = None) -> Path:
    """An image of axes such as SZCYX; with `tile` its planes lie in tiles of this side."""
    places = [dict(zip(axes, index, strict=False)) for index in np.ndindex(array.shape[:-2])]
    height, width = array.shape[-2:]
    side = tile or max(height, width)
    content, entries = bytearray(_segment(b"ZISRAWFILE", b"\0" * 512)), []
    for at in places:
        plane = array[tuple(at.values())]
        for number, (y, x) in enumerate((y, x) for y in range(0, height, side) for x in range(0, width, side)):
            part = plane[y : y + side, x : x + side]
            spans = [("X", x, part.shape[1]), ("Y", y, part.shape[0]), *((axis, at[axis], 1) for axis in reversed(at))]
            spans += [("M", number, 1)] if tile else []
            entry = struct.pack("<2siqiiBB4si", b"DV", 1, len(content), 0, 0, 0, 0, b"", len(spans))
            for axis, start, size in spans:
                entry += struct.pack("<4siifi", axis.encode(), start, size, 0.0, size)
            entries.append(entry)
            data = struct.pack("<iiq", 0, 0, part.nbytes) + entry
            content += _segment(b"ZISRAWSUBBLOCK", data + b"\0" * (240 - len(entry)) + part.tobytes())
    directory = len(content)
    content += _segment(b"ZISRAWDIRECTORY", struct.pack("<i", len(entries)) + b"\0" * 124 + b"".join(entries))
    about = len(content)
    content += _segment(b"ZISRAWMETADATA", struct.pack("<ii", len(xml.encode()), 0) + b"\0" * 248 + xml.encode())
    header = struct.pack("<iiii16s16siqqiq", 1, 0, 0, 0, b"", b"", 0, directory, about, 0, 0)
    content[32 : 32 + len(header)] = header
    path.write_bytes(content)
    return path


def _segment(name: bytes, data: bytes) -> bytes:
    """A segment, whose size is a multiple of 32."""
    return struct.pack("<16sqq", name, len(data), len(data)) + data + b"\0" * (-len(data) % 32)
