"""The networks: backbone, encoder, decoder (the paper's slots, our seeds), scoring, matching and losses."""

from sparseinst.modeling.learner import Learner
from sparseinst.modeling.model import SparseInst, build_model, with_budget, with_max_instances
from sparseinst.modeling.postprocess import Segmenter, score, select, without_small_pieces
from sparseinst.modeling.slots.criterion import Criterion, count_instances
from sparseinst.modeling.slots.matcher import Assignment, Matcher

__all__ = [
    "Assignment", "Criterion", "Learner", "Matcher", "Segmenter", "SparseInst", "build_model", "count_instances",
    "score", "select", "with_budget", "with_max_instances", "without_small_pieces",
]  # fmt: skip
