"""Prediction of millions of images: read from anywhere, found by many processes or machines, kept as Parquet rows."""

from importlib.util import find_spec

from sparseinst.errors import InputError

for _package in ("pyarrow", "fsspec"):
    if find_spec(_package) is None:
        raise InputError(f"batch jobs: expected the package {_package}, found none: pip install 'sparseinst[scale]'")
