"""The network of the paper: backbone, encoder, decoder, scoring, matching and losses."""

from sparseinst.modeling.anchoring import anchor_slots, positional_code, same_code
from sparseinst.modeling.criterion import Criterion, count_instances
from sparseinst.modeling.matcher import Assignment, Matcher
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.modeling.optimise import optimise
from sparseinst.modeling.postprocess import Segmenter, begin_select, score, select
from sparseinst.ops.masks import fill_padding

__all__ = [
    "Assignment", "Criterion", "Matcher", "Segmenter", "SparseInst", "anchor_slots", "begin_select", "build_model",
    "count_instances", "fill_padding", "optimise", "positional_code", "same_code", "score", "select",
]  # fmt: skip
