"""A service of its own process whose network takes its time: `python -m serving.slow_service '{"workers": 2}'`."""

import json
import os
import sys
import time
from functools import partial

from torch import Tensor

from inference.standins import ColorBackend
from sparseinst.predictions import Candidates
from sparseinst.runtime.backends import Backend
from sparseinst.serving.server import serve
from sparseinst.serving.settings import ServeSettings


class SlowBackend(ColorBackend):
    """Takes this many seconds a batch."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        time.sleep(self.seconds)
        return super().__call__(images, resized_hw)


def open_slow(seconds: float, *, fails_in_workers: int = 0, activation: bool = False) -> Backend:
    """Opens it; in any process but that of this number it may fail."""
    if fails_in_workers not in (0, os.getpid()):
        raise MemoryError("no room for the network")
    return SlowBackend(seconds)


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    seconds, fails = options.pop("seconds", 0.0), options.pop("fails_in_workers", False)
    opener = partial(open_slow, seconds, fails_in_workers=os.getpid() if fails else 0)
    serve(ServeSettings(port=0, **options), opener, on_listening=lambda address: print(address, flush=True))
