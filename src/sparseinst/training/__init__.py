"""Training: settings of a run, the loop, its logs and checkpoints."""
