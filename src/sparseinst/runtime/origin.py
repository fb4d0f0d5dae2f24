"""Where a measured figure comes from: machine, versions, commit."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from sparseinst.version import __version__

LIBRARIES = (
    "torch", "torchvision", "timm", "faster-coco-eval", "numpy", "opencv-python-headless", "onnxruntime", "openvino",
    "nncf",
)  # fmt: skip


def processor() -> str:
    """Name of the processor, as the system gives it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def origin() -> dict[str, Any]:
    """Machine, threads, versions of what is installed, and the commit where there is one; JSON-able."""
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "sparseinst": __version__} | _installed(),
        "commit": commit.stdout.strip() or None,
    }


def _installed() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
