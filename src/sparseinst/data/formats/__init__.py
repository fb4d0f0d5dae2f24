"""Data sets of any format: found by looking, read to one form."""

from sparseinst.data.formats.content import Content, Notes
from sparseinst.data.formats.reading import read_content
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.formats.source import PARTS, DataSource, Kind, Split

__all__ = ["PARTS", "Content", "DataSource", "Kind", "Notes", "Split", "read_content", "resolve_data"]
