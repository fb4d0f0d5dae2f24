"""Names, presets and checkpoints: the one place that knows both settings and weights."""

from sparseinst.zoo.checkpoint import checkpoint_extra, read_checkpoint, save_checkpoint
from sparseinst.zoo.conversion import convert
from sparseinst.zoo.models import DEFAULT_MODEL, init_weights, load_model, preset_of, weights_file
from sparseinst.zoo.names import load_preset, preset_names, shipped_weights
from sparseinst.zoo.starts import shipped_start, start_network, start_of

__all__ = [
    "DEFAULT_MODEL", "checkpoint_extra", "convert", "init_weights", "load_model", "load_preset", "preset_names",
    "preset_of", "read_checkpoint", "save_checkpoint", "shipped_start", "shipped_weights",
    "start_network", "start_of", "weights_file",
]  # fmt: skip
