"""Prediction of millions of images: read from anywhere, found by many processes or machines, kept as Parquet rows."""

from importlib.util import find_spec

from sparseinst.errors import InputError

for _package in ("pyarrow", "fsspec"):
    if find_spec(_package) is None:
        raise InputError(f"batch jobs: expected the package {_package}, found none: pip install 'sparseinst[scale]'")

from sparseinst.scale.job import Progress, run_batch  # noqa: E402 - only what is installed can be imported
from sparseinst.scale.settings import BatchSettings  # noqa: E402

__all__ = ["BatchSettings", "Progress", "run_batch"]
