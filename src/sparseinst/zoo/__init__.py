"""Names, presets and checkpoints: the one place that knows both settings and weights."""

from sparseinst.zoo.checkpoint import checkpoint_extra, read_checkpoint, save_checkpoint
from sparseinst.zoo.models import DEFAULT_MODEL, init_weights, load_model, load_preset, preset_names, shipped_weights

__all__ = [
    "DEFAULT_MODEL", "checkpoint_extra", "init_weights", "load_model", "load_preset", "preset_names",
    "read_checkpoint", "save_checkpoint", "shipped_weights",
]  # fmt: skip
