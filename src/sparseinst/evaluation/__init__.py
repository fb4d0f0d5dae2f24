"""COCO mask AP of networks and of results files."""

from sparseinst.evaluation.coco_eval import evaluate_results
from sparseinst.evaluation.evaluator import evaluate
from sparseinst.evaluation.figures import ClassFigures, Evaluation, Figures

__all__ = ["ClassFigures", "Evaluation", "Figures", "evaluate", "evaluate_results"]
