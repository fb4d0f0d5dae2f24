"""Whether weights that are elsewhere can be had, asked before a library tries for a minute."""

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

_PATIENCE_S = 5.0
_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of the files that timm takes from the Hub."""


class Remote(NamedTuple):
    """Weights that a library would fetch."""

    here: bool
    """Whether they are on this machine already."""
    address: str | None
    """Where they would come from; None where there are none."""


def timm_weights(backbone: str) -> Remote:
    """Where timm's weights of a backbone are."""
    import timm
    import torch
    from huggingface_hub import constants, try_to_load_from_cache

    config = timm.models.get_pretrained_cfg(backbone)
    if config is None:
        return Remote(False, None)
    if isinstance(config.file, str) and Path(config.file).is_file():
        return Remote(True, None)
    if config.hf_hub_id:
        name = config.hf_hub_id.partition("@")[0]
        cached = any(isinstance(try_to_load_from_cache(name, file), str) for file in _FILES)
        return Remote(cached, f"{constants.ENDPOINT}/{name}")
    if isinstance(config.url, str) and config.url:
        cached = (Path(torch.hub.get_dir()) / "checkpoints" / Path(config.url).name).is_file()
        return Remote(cached, config.url)
    return Remote(False, None)


def unreachable(address: str) -> str | None:
    """Why nothing can be fetched from an address; None if it answers, whatever it says."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return "HF_HUB_OFFLINE is set"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=_PATIENCE_S):
            return None
    except urllib.error.HTTPError:
        return None
    except OSError as error:
        return str(getattr(error, "reason", error))
