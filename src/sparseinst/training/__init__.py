"""Training: settings of a run, the loop, its logs and checkpoints."""

from sparseinst.training.ema import WeightAverage
from sparseinst.training.engine import Engine, NonFiniteLoss, Step, make_accelerator, release_accelerator
from sparseinst.training.folder import run_folder
from sparseinst.training.logs import RunLog, plot_curves, read_table
from sparseinst.training.optim import base_learning_rate, learning_rate_factor, parameter_groups
from sparseinst.training.recipe_file import RecipeFile, load_recipe, recipe_names, use_recipe
from sparseinst.training.settings import apply_settings, parse_assignments, scale_sizes, setting_names
from sparseinst.training.trainer import DEFAULT_NETWORK, RANDOM, TrainResult, train

__all__ = [
    "DEFAULT_NETWORK", "RANDOM", "Engine", "NonFiniteLoss", "RecipeFile", "RunLog", "Step", "TrainResult",
    "WeightAverage", "apply_settings", "base_learning_rate", "learning_rate_factor", "load_recipe", "make_accelerator",
    "parameter_groups", "parse_assignments", "plot_curves", "read_table", "recipe_names", "release_accelerator",
    "run_folder", "scale_sizes", "setting_names", "train", "use_recipe",
]  # fmt: skip
