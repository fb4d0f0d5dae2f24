"""The report's section for people who count: what is right, wrong or missed, in all and image by image."""

from html import escape

from sparseinst.drawing.html import table
from sparseinst.evaluation.count_figures import IOUS, CountFigures, Counts
from sparseinst.evaluation.counting import summary_of, table_of
from sparseinst.evaluation.figures import shown

_COLUMNS = (
    "image", "objects", "found", "precision", "recall", "F1", "F1 at 0.75", "TP / (TP + FP + FN)", "PQ", "AP of DSB",
    "area bias",
)  # fmt: skip
_AT_75 = IOUS.index(0.75)


def counting(counts: Counts | None) -> str:
    """The section; nothing without counts."""
    if counts is None:
        return ""
    columns, rows = table_of(counts.pooled)
    images = [
        _row(item.file_name, item.figures)
        for item in sorted(counts.per_image, key=lambda item: item.figures.tp_of_tp_fp_fn[0])
    ]
    note = (
        f"Masks with a score of at least {counts.score:.2f}, matched one to one with the instances of their class at "
        "each IoU, all images pooled. The mean AP of DSB 2018 is TP / (TP + FP + FN), mean over IoU 0.50 to 0.95, then "
        "over images. Area bias is the median of found area over annotated area, less 1. Image by image, precision, "
        "recall, F1 and TP / (TP + FP + FN) are at IoU 0.50 where no other is named."
    )
    return (
        f"<h2>Counts</h2>{table(columns, rows, texts=())}<p>{escape(summary_of(counts.pooled))}</p>"
        f'<p class="note">{note}</p><details><summary>All {len(images)} images, lowest TP / (TP + FP + FN) first'
        f"</summary>{table(_COLUMNS, images)}</details>"
    )


def _row(name: str, figures: CountFigures) -> tuple[str, ...]:
    values = (
        figures.precision[0], figures.recall[0], figures.f1[0], figures.f1[_AT_75], figures.tp_of_tp_fp_fn[0],
        figures.panoptic_quality, figures.dsb_ap, figures.area_bias,
    )  # fmt: skip
    return name, str(figures.objects), str(figures.found), *map(shown, values)
