"""The pictures of the page about evaluation: `python manual/pictures.py` writes them to docs/images."""

import json
import tempfile
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from sparseinst.data.formats.resolving import resolve_data
from sparseinst.evaluation.evaluator import evaluate

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
BLUE, ORANGE, GREY = "#2a5d93", "#e4572e", "#8a94a0"
SHOWN_IOUS = (0.5, 0.75, 0.9)
SIDE_PX = 240
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "0"})


def disc(x: float, y: float, radius: float) -> NDArray[np.bool_]:
    """A mask of SIDE_PX squared pixels."""
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 < radius**2)


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((a & b).sum() / (a | b).sum())


def draw_ious(path: Path) -> None:
    """A disc and others that are moved aside until they overlap with it as much as is wanted."""
    figure, axes = plt.subplots(1, len(SHOWN_IOUS), figsize=(9, 3.4))
    truth = disc(100, 120, 70)
    for axis, wanted in zip(axes, SHOWN_IOUS, strict=True):
        found = min((disc(100 + step / 2, 120, 70) for step in range(160)), key=lambda it: abs(iou(truth, it) - wanted))
        picture = np.ones((SIDE_PX, SIDE_PX, 3))
        picture[truth & ~found] = matplotlib.colors.to_rgb(BLUE)
        picture[found & ~truth] = matplotlib.colors.to_rgb(ORANGE)
        picture[found & truth] = matplotlib.colors.to_rgb("#c9ccd6")
        axis.imshow(picture)
        axis.set_title(f"IoU {wanted}", y=0.9)
        axis.axis("off")
    figure.text(0.5, 0.03, "blue: missed   grey: shared   orange: too much", ha="center", color=GREY)
    save(figure, path)


def draw_precision_recall(report: dict[str, Any], path: Path) -> None:
    """Curves at IoU 0.5 and 0.75 and the mean, whose areas are the APs."""
    curve, recall = report["curves"][0], np.linspace(0, 1, 101)
    figure, axis = plt.subplots(figsize=(6.4, 4))
    for name, label, colour in (("at_50", "AP50", GREY), ("at_75", "AP75", BLUE), ("mean", "AP", ORANGE)):
        axis.plot(recall, curve[name], color=colour, label=f"{label} {np.mean(curve[name]):.2f}", linewidth=2)
    axis.fill_between(recall, curve["mean"], color=ORANGE, alpha=0.15)
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axis.legend(frameon=False, loc="lower left")
    save(figure, path)


def draw_calibration(report: dict[str, Any], path: Path) -> None:
    """Precision of the detections of each bin of scores."""
    bins = [one for one in report["calibration"]["bins"] if one["detections"]]
    figure, axis = plt.subplots(figsize=(6.4, 4))
    axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    axis.bar(
        [(one["low"] + one["high"]) / 2 for one in bins],
        [one["precision"] for one in bins],
        width=0.094,
        color=BLUE,
        alpha=0.85,
    )
    for one in bins:
        axis.text(
            (one["low"] + one["high"]) / 2,
            one["precision"] + 0.02,
            one["detections"],
            ha="center",
            fontsize=8,
            color=GREY,
        )
    axis.set(xlabel="score", ylabel="part that is right (IoU 0.5)", xlim=(0, 1), ylim=(0, 1.08))
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Writes a figure and forgets it."""
    figure.tight_layout()
    figure.savefig(path, dpi=100, metadata={"Software": "sparseinst"})
    plt.close(figure)


def main() -> None:
    """Writes all of them."""
    draw_ious(IMAGES / "iou.png")
    split = resolve_data(ROOT / "tests" / "data_files" / "nuclei").val
    with tempfile.TemporaryDirectory() as folder:
        evaluate("nuclei", split, max_dets=300, report=Path(folder) / "report")
        report = json.loads((Path(folder) / "report" / "report.json").read_text(encoding="utf-8"))
    draw_precision_recall(report, IMAGES / "precision_recall.png")
    draw_calibration(report, IMAGES / "calibration.png")


if __name__ == "__main__":
    main()
