"""The report as one HTML page: style, charts and the little script are in it, so it opens from disk."""

from html import escape
from pathlib import Path

from sparseinst.drawing.html import document, table, tiles
from sparseinst.evaluation.figures import NOTHING, Figures, shown
from sparseinst.evaluation.report.charts import Line, Mark, heat_map, histogram, line_chart, reliability_chart
from sparseinst.evaluation.report.contents import EvaluationFacts, Report, WorstImage
from sparseinst.evaluation.report.counted import counting
from sparseinst.evaluation.report.curves import Curve

_OPEN_TABLE = 12
"""Up to this many classes their table is open."""
_PAIRS = 15
"""Confused pairs of classes that are listed."""
_WITHOUT_SCRIPT = "<noscript><style>.curve[hidden] { display: block }</style></noscript>\n"
_PICK = """
document.getElementById("class").onchange = (event) =>
  document.querySelectorAll(".curve").forEach((curve, i) => { curve.hidden = i !== event.target.selectedIndex; });
"""


def report_page(report: Report) -> str:
    """A whole HTML document that refers to nothing but the report's own pictures."""
    name = f"{report.about.model} on {Path(report.about.annotations).name}"
    sections = (
        _head(report),
        _figures(report),
        counting(report.evaluation.counts),
        _classes(report),
        _confusion(report),
        _scores(report),
        _worst(report),
        _origin(report.about),
    )
    return document(name, sections, head=_WITHOUT_SCRIPT)


def _head(report: Report) -> str:
    evaluation, best = report.evaluation, report.thresholds
    figures = [
        (shown(evaluation.ap), "AP"),
        (shown(evaluation.ap50), "AP at IoU 0.50"),
        (shown(evaluation.ap75), "AP at IoU 0.75"),
        (shown(evaluation.ar), "AR"),
        (shown(report.boundary.ap), "boundary AP"),
        (f"{max(best.f1):.4f}", f"best F1, at score {best.best:.2f}"),
    ]
    return (
        f'<p class="note">{evaluation.images} images, {evaluation.instances} annotated instances, '
        f"{evaluation.detections} detections of which the best {evaluation.max_dets} of a class in an image count.</p>"
        f"{tiles(figures)}"
    )


def _figures(report: Report) -> str:
    evaluation = report.evaluation
    rows = [_figure_row("all", evaluation, evaluation.images, evaluation.instances)]
    if evaluation.covering is not None:
        name = f"all, {evaluation.covering.max_dets} detections"
        rows.append(_figure_row(name, evaluation.covering, evaluation.images, evaluation.instances))
    rows.append(_figure_row("all, by boundary IoU", report.boundary, evaluation.images, evaluation.instances))
    rows += [
        _figure_row(part.name, part.figures, part.images, part.instances)
        for part in (*report.by_count, *report.by_group)
    ]
    columns = ("", "images", "instances", *(name for name, _ in evaluation.table()))
    note = (
        "COCO's mask AP and AR, means over IoU 0.50 to 0.95; APs, APm and APl count instances below 32², up to 96² and "
        "above 96² pixels. Boundary IoU is the lower of mask IoU and the IoU of the boundaries, 2 % of the image's "
        "diagonal wide. The lower rows are of images that hold so many annotated instances, and of the groups given."
    )
    if evaluation.covering is not None:
        note += f" Images hold up to {evaluation.most_instances} instances of a class, more than count."
    return f'<h2>Figures</h2>{table(columns, rows)}<p class="note">{note}</p>'


def _figure_row(name: str, figures: Figures, images: int, instances: int) -> list[str]:
    return [name, str(images), str(instances), *(value for _, value in figures.table())]


def _classes(report: Report) -> str:
    if not report.curves:
        return "<h2>Precision and recall</h2><p>The images hold no annotated instance.</p>"
    classes = report.curves[1:]
    chosen = report.curves if len(classes) > 1 else classes
    charts = "".join(
        f'<div class="curve"{" hidden" if i else ""}>{_curve(curve)}</div>' for i, curve in enumerate(chosen)
    )
    parts = ["<h2>Precision and recall</h2>"]
    if len(classes) > 1:
        options = "".join(f"<option>{escape(curve.name or 'mean over classes')}</option>" for curve in chosen)
        parts.append(f'<p><label for="class">Class</label> <select id="class">{options}</select></p>')
    parts.append(f'<div class="charts">{charts}</div>')
    if len(classes) > 1:
        present = sorted((item for item in report.evaluation.per_class if item.ap != NOTHING), key=lambda one: one.ap)
        rows = [(item.name, str(item.instances), shown(item.ap), shown(item.ap50)) for item in present]
        is_open = " open" if len(rows) <= _OPEN_TABLE else ""
        rows_table = table(("class", "instances", "AP", "AP50"), rows)
        parts.append(
            f"<details{is_open}><summary>All {len(rows)} classes, lowest AP first</summary>{rows_table}</details>"
        )
        parts.append(f"<script>{_PICK}</script>")
    return "".join(parts)


def _curve(curve: Curve) -> str:
    recalls = [i / (len(curve.mean) - 1) for i in range(len(curve.mean))]
    name = curve.name or "mean over classes"
    lines = (
        Line("IoU 0.50", recalls, curve.at_50),
        Line("IoU 0.75", recalls, curve.at_75),
        Line("mean over IoU 0.50 to 0.95", recalls, curve.mean),
    )
    heading = f"<h3>{escape(name)}, {curve.instances} instances</h3>"
    return heading + line_chart(f"precision over recall: {name}", lines, x_label="recall", y_label="precision")


def _confusion(report: Report) -> str:
    confusion = report.confusion.present()
    note = (
        f"Masks with a score of at least {report.about.score:.2f}. Each in turn, best score first, takes the free "
        "instance of any class that it overlaps most, if their IoU is 0.50 or more. Rows are what is annotated, "
        "columns what was found; colours are shares of the row. Background is where nothing is annotated."
    )
    pairs = [
        (expected, found, str(count), f"{share:.0%}")
        for expected, found, count, share in report.confusion.most_frequent(_PAIRS)
    ]
    pairs_table = ""
    if pairs:
        columns = ("annotated", "found as", "times", "of the class")
        pairs_table = f"<h3>Classes taken for others</h3>{table(columns, pairs, texts=(0, 1))}"
    matrix = f'<div class="wide">{heat_map("confusion matrix", confusion)}</div>'
    return f'<h2>Confusion</h2><p class="note">{note}</p>{matrix}{pairs_table}'


def _scores(report: Report) -> str:
    curve, calibration = report.thresholds, report.calibration
    precision = [(x, y) for x, y in zip(curve.scores, curve.precision, strict=True) if y is not None]
    lines = (
        Line("F1", curve.scores, curve.f1),
        Line("precision", [x for x, _ in precision], [y for _, y in precision]),
        Line("recall", curve.scores, curve.recall),
    )
    marks = (
        Mark(f"best F1, {curve.best:.2f}", curve.best),
        Mark(f"default, {report.about.score:.2f}", report.about.score),
    )
    by_score = line_chart(
        "F1 over score threshold", lines, x_label="score threshold", y_label="at IoU 0.50", marks=marks
    )
    note = (
        f"Expected calibration error (the gap between mean score and precision, weighted by detections): "
        f"{_percent(calibration.error)} over all detections, {_percent(calibration.error_shown)} over those at or "
        f"above the default score. A detection is right if it takes an instance of its class at IoU 0.50."
    )
    return (
        f'<h2>Scores</h2><div class="charts"><div><h3>Which threshold to show masks from</h3>{by_score}</div>'
        f"<div><h3>Whether scores are probabilities</h3>{reliability_chart('calibration', calibration.bins)}</div>"
        f"<div><h3>Detections by score</h3>{histogram('detections by score', calibration.bins)}</div></div>"
        f'<p class="note">{note} Precision, recall and F1 by threshold count all classes together.</p>'
    )


def _worst(report: Report) -> str:
    heading = "<h2>Where most goes wrong</h2>"
    if not report.worst:
        return f"{heading}<p>No image has a missed instance or a false mask.</p>"
    keys = "".join(f'<span><i class="{key}"></i>{key}</span>' for key in ("found", "missed", "false"))
    pictures = "".join(_picture(item) for item in report.worst)
    return (
        f'{heading}<p class="note">The {len(report.worst)} images of lowest F1, among equals those with more mistakes '
        f"first. Masks with a score of at least {report.about.score:.2f} count as found if they take an instance of "
        "their class at IoU 0.50, else as false; instances that none takes are missed. A click opens the whole picture."
        f'</p><p class="legend">{keys}</p><div class="gallery">{pictures}</div>'
    )


def _picture(item: WorstImage) -> str:
    outcome, name, place = item.outcome, escape(item.file_name), escape(item.picture)
    return (
        f'<figure><a href="{place}"><img src="{place}" alt="masks of {name}" loading="lazy"></a>'
        f"<figcaption>{name}<br><span>F1 {outcome.f1:.2f}: {outcome.found} found, {outcome.missed} missed, "
        f"{outcome.false} false</span></figcaption></figure>"
    )


def _origin(about: EvaluationFacts) -> str:
    origin = about.origin
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
    facts = {
        "model": about.model,
        "backend": about.backend,
        "images are brought to": about.frame,
        "images": about.images,
        "annotations": about.annotations,
        "their SHA-256": about.annotations_sha256,
        "machine": f"{origin['device']}, {origin['cores']} cores, {origin['threads']} threads",
        "versions": versions,
        "commit": origin["commit"] or "-",
    }
    items = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())
    return f'<h2>Origin</h2><dl>{items}</dl><p class="note">All numbers are in report.json.</p>'


def _percent(part: float | None) -> str:
    return "-" if part is None else f"{part:.1%}"
