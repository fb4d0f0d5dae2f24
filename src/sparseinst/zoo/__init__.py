"""Names, presets and checkpoints: the one place that knows both settings and weights."""
