"""Label images: which object each pixel belongs to, as one encoded mask for each number."""

import numpy as np
from numpy.typing import NDArray


def encode_numbered(image: NDArray[np.integer]) -> tuple[NDArray[np.int64], tuple[bytes, ...]]:
    """The objects of a label image, all at once, without a dense mask of any.

    Args:
        image: (height, width) of any integer type; 0 is background.

    Returns:
        (n,) numbers, ascending, and n compressed run-length encodings over the whole image.
    """
    import torch  # slow to load, and most that know label images write none

    from sparseinst.masks.compress import compress

    columns = np.ascontiguousarray(image.T).reshape(-1).astype(np.int64)
    starts = np.concatenate([[0], np.flatnonzero(columns[1:] != columns[:-1]) + 1])
    ends = np.append(starts[1:], len(columns))
    here = columns[starts]
    inside = np.flatnonzero(here)
    order = inside[np.argsort(here[inside], kind="stable")]
    numbers, owners = np.unique(here[order], return_inverse=True)
    edges = torch.from_numpy(np.stack([starts[order], ends[order]], axis=1).reshape(-1))
    of = torch.from_numpy(np.repeat(owners.reshape(-1), 2))
    return numbers, tuple(compress(edges, of, masks=len(numbers), pixels=columns.size))
