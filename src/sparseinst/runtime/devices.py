"""Names of devices."""

import torch

from sparseinst.errors import InputError


def resolve_device(device: str | torch.device) -> torch.device:
    """The torch device of this name.

    Raises:
        InputError: the name means nothing or this machine has no such device.
    """
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device {str(device)!r}: expected cpu, cuda, cuda:0, ... or mps") from error
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (resolved.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if resolved.type not in present:
        raise InputError(f"device {str(device)!r}: expected cpu, cuda, cuda:0, ... or mps")
    if not present[resolved.type]:
        raise InputError(f"device {str(device)!r}: this machine (or this build of torch) has none; use device cpu")
    return resolved
