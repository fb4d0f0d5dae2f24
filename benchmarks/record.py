"""Where a figure comes from: written beside every result."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("torch", "torchvision", "timm", "faster-coco-eval", "numpy", "opencv-python-headless")


def processor() -> str:
    """Name of the processor, as the system gives it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def write_result(name: str, figures: dict[str, Any]) -> Path:
    """Writes figures with device, versions, commit and command to benchmarks/results/NAME.json."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    origin = {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
        "commit": commit.stdout.strip(),
        "command": " ".join(["python", *(os.path.relpath(part) if Path(part).exists() else part for part in sys.argv)]),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"origin": origin, "figures": figures}, indent=2) + "\n")
    temporary.replace(path)
    return path
