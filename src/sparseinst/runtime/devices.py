"""Names of devices."""

import torch

from sparseinst.errors import InputError
from sparseinst.runtime.names import check_device

Device = str | torch.device | None
"""Where something runs: "cpu", "cuda", "cuda:1", "mps", or "auto", which None means, too. A network given as a
module then runs where it is, anything else on a CUDA GPU if there is one, else on the CPU.
"""


def is_auto(device: Device) -> bool:
    """Whether the choice is left to us."""
    return device is None or device == "auto"


def resolve_device(device: Device) -> torch.device:
    """The torch device of this name; "auto" and None are a CUDA GPU if there is one, else the CPU.

    Raises:
        InputError: the name means nothing or this machine has no such device.
    """
    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    check_device(str(device))
    resolved = torch.device(device)
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (resolved.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present[resolved.type]:
        raise InputError(f"device {str(device)!r}: this machine (or this build of torch) has none; use device cpu")
    return resolved
