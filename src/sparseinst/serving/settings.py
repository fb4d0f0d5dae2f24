"""Settings of the service."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from sparseinst.config.base import Settings
from sparseinst.errors import InputError

LOOPBACK = "127.0.0.1"
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable by which prometheus_client finds the folder where the figures of several processes meet."""
MOST_PIXELS = 170_000_000
"""Pillow itself refuses images of more than about this."""


class ServeSettings(Settings):
    """How a network is served."""

    host: str = Field(LOOPBACK, description="address to listen on; 0.0.0.0 is all of this machine")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    workers: int = Field(1, ge=1, description="processes, each with a network of its own")
    max_batch: int = Field(8, ge=1, description="images of one padded frame that go through the network at once")
    max_wait_ms: float = Field(2.0, ge=0, description="longest wait of an image for others to go with, in ms")
    queue: int = Field(64, ge=1, description="images in a process at once; what comes beyond is sent away (503)")
    timeout_s: float = Field(30.0, gt=0, description="longest time for a request, in seconds")
    max_body_mb: float = Field(32.0, gt=0, description="largest request or frame, in MB")
    max_pixels: int = Field(50_000_000, ge=1, le=MOST_PIXELS, description="most pixels of an image")
    max_images: int = Field(16, ge=1, description="most images in one request")
    max_decoded_mb: float = Field(
        1000.0, gt=0, description="most memory for decoding the images of a request, and of all at once, in MB"
    )
    min_rate_kb: float = Field(20.0, gt=0, description="least kB a second at which a request has to come")
    max_connections: int = Field(256, ge=1, description="open connections to a process, streams included")
    header_timeout_s: float = Field(10.0, gt=0, description="longest time for the headers of a request, in seconds")
    access_log: Literal["text", "json", "none"] = Field("text", description="a line for each request")
    api_key: SecretStr | None = Field(None, description="key that clients have to show")
    open_to_all: bool = Field(False, description="listen beyond this machine without a key")
    cors: tuple[str, ...] = Field((), description="other web sites whose pages may use the service, as https://host")
    score: float | None = Field(None, ge=0, le=1, description="lowest score to keep; without it, the model's own")
    tile: int | None = Field(
        None, description="side in pixels of the tiles that larger images are cut into, 0 for none"
    )
    overlap: int | None = Field(None, description="pixels that neighbouring tiles share")
    scale: float | None = Field(None, description="network pixels for each pixel of an image, at native scale")
    diameter: float | None = Field(None, description="or that of most objects in pixels of the image")
    max_instances: int | None = Field(None, ge=1, description="most instances in an image")
    name: str = Field("network", description="what the network is called")
    shipped: bool = Field(False, description="whether it has the weights that come with the package")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def threads(self) -> int | None:
        """Threads of each of several processes, which share the cores of this one; None is all cores."""
        if self.workers == 1:
            return None
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, cores // self.workers)

    @property
    def max_body_bytes(self) -> int:
        """Largest request in bytes."""
        return int(self.max_body_mb * 1_000_000)

    def check(self) -> None:
        """Refuses what would be open to strangers by mistake, or could answer no request.

        Raises:
            InputError: settings that do not go together.
        """
        from sparseinst.inference.tiling import Tiling

        if not self.is_local and self.api_key is None and not self.open_to_all:
            raise InputError(
                f"host {self.host}: expected an API key where others than this machine can connect, got none: give "
                "--api-key (or SPARSEINST_API_KEY), or --no-api-key if everybody may"
            )
        key = "" if self.api_key is None else self.api_key.get_secret_value()
        if self.api_key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
            raise InputError("api_key: expected letters, digits and signs without spaces, which a header can carry")
        for origin in self.cors:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
                raise InputError(f"cors {origin}: expected a site as https://host or http://host:port: correct it")
        Tiling.of(self.tile or None, self.overlap)
        if self.queue < self.max_images:
            raise InputError(f"queue {self.queue}: expected at least max_images, {self.max_images}: enlarge it")


def page_folder() -> Path:
    """Where the files of the page are."""
    from importlib.resources import files

    return Path(str(files("sparseinst") / "web" / "page"))
