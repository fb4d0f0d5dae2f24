"""The network of the paper: backbone, encoder, decoder, scoring, matching and losses."""

from sparseinst.modeling.learner import Learner
from sparseinst.modeling.model import SparseInst, build_model, with_budget, with_max_instances
from sparseinst.modeling.optimise import optimise
from sparseinst.modeling.postprocess import Segmenter, begin_select, score, select, without_small_pieces
from sparseinst.modeling.slots.criterion import Criterion, count_instances
from sparseinst.modeling.slots.matcher import Assignment, Matcher
from sparseinst.modeling.windowed import WindowedSegmenter
from sparseinst.ops.masks import fill_padding

__all__ = [
    "Assignment", "Criterion", "Learner", "Matcher", "Segmenter", "SparseInst", "WindowedSegmenter", "begin_select",
    "build_model", "count_instances", "fill_padding", "optimise", "score", "select", "with_budget",
    "with_max_instances", "without_small_pieces",
]  # fmt: skip
