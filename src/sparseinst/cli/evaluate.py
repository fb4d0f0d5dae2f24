"""`sparseinst evaluate`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparseinst.cli.allocator import keep_freed_memory
from sparseinst.cli.early import check_network, check_paths
from sparseinst.cli.opening import BackendName, open_model
from sparseinst.cli.options import (
    MODEL_HELP,
    Batch,
    Device,
    DiameterOrAuto,
    Half,
    MaxInstances,
    NoTile,
    Overlap,
    Quiet,
    RandomWeights,
    Scale,
    Tile,
    Verbose,
    Weights,
    chosen_tile,
    output_file,
    parse_diameter,
    pick_device,
)
from sparseinst.cli.telling import console, count, print_table, say, say_found, speak, tells_each
from sparseinst.disk import check_room
from sparseinst.errors import InputError

if TYPE_CHECKING:
    from sparseinst.data.formats.source import Split
    from sparseinst.evaluation.count_figures import Counts
    from sparseinst.evaluation.figures import Evaluation
    from sparseinst.structures import Instances


def evaluate(
    model: Annotated[str | None, typer.Option(metavar="NAME_OR_PATH", help=f"{MODEL_HELP}.")] = None,
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the images.")] = None,
    annotations: Annotated[Path | None, typer.Option(metavar="FILE", help="COCO annotation file.")] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="In place of a model and images: the result of `sparseinst batch` on them."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR_OR_FILE", help="Instead of both, a data set of any format, as `train` takes it."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="train|val|test", help="Part of --data; without it val, or the only one there is."),
    ] = None,
    weights: Weights = None,
    random_weights: RandomWeights = False,
    backend: BackendName = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the detections here, as a COCO results list.")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures here.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a page of figures, charts and the worst images here, a new folder."),
    ] = None,
    max_dets: Annotated[
        int, typer.Option(min=1, help="Highest-scored detections of a class in an image that count.")
    ] = 100,
    device: Device = "auto",
    batch: Batch = 1,
    workers: Annotated[int, typer.Option(min=0, help="Threads that read images.")] = 2,
    half: Half = False,
    tile: Tile = None,
    no_tile: NoTile = False,
    overlap: Overlap = None,
    scale: Scale = None,
    diameter: DiameterOrAuto = None,
    max_instances: MaxInstances = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure a network on annotated images: COCO mask AP, in all and by class."""
    from sparseinst.evaluation.report.folder import check_report_folder
    from sparseinst.inference.options import PipelineOptions

    speak(quiet=quiet, verbose=verbose)
    check_paths(images, annotations, data, predictions)
    options = PipelineOptions(
        device=device, batch=batch, half=half, tile=chosen_tile(tile, no_tile), overlap=overlap, scale=scale,
        diameter=parse_diameter(diameter), max_instances=max_instances,
    )  # fmt: skip
    check_network(model, weights=weights, random_weights=random_weights, backend=backend, **options)
    for option, path in (("--save", save), ("--json", json)):
        output_file(option, path)
    if report is not None:
        check_room(report.parent, option="--report", make=False)
    if predictions is not None:
        if annotations is None or any(item is not None for item in (model, images, data, report)):
            raise InputError("--predictions: expected --annotations with it, and no --model, --images, --data or "
                             "--report: give these two alone")  # fmt: skip
        _score(predictions, annotations, save=save, json=json, max_dets=max_dets)
        return
    if model is None:
        raise InputError("expected --model or --predictions, got neither: give what to measure")
    if report is not None:
        check_report_folder(report)
    measured = _chosen(images, annotations, data, split)
    chosen = pick_device(device)
    if chosen == "cpu":
        keep_freed_memory()
    from sparseinst.evaluation.evaluator import evaluate as measure
    from sparseinst.inference.writers import write_json

    network = open_model(
        model, weights=weights, random_weights=random_weights, device=device, half=half, backend=backend,
        max_instances=max_instances,
    )  # fmt: skip
    start = time.perf_counter()
    with console(stderr=True).status(f"evaluating on {chosen} ..."):
        evaluation = measure(
            network, measured, workers=workers, max_dets=max_dets, save=save, report=report, model_name=model,
            on_image=_tell_image if tells_each() else None, **options,
        )  # fmt: skip
    seconds = time.perf_counter() - start
    if json is not None:
        write_json(json, evaluation.to_json())
    _print(evaluation, f"{model} on {measured.annotations}", score=network.config.postprocess.score)
    say(f"{seconds:.1f} s on {chosen}, {seconds / max(evaluation.images, 1):.3f} s per image, AP included")
    page = None if report is None else report / "index.html"
    for name, path in (("detections", save), ("figures", json), ("report", page)):
        if path is not None:
            say(f"{name}: {path}")


def _tell_image(path: Path, instances: "Instances") -> None:
    say(f"{path}: {count(len(instances), 'instance')}")


def _score(folder: Path, annotations: Path, *, save: Path | None, json: Path | None, max_dets: int) -> None:
    """Measures what a batch job has found."""
    from sparseinst.evaluation.coco_eval import evaluate_results
    from sparseinst.inference.writers import write_json
    from sparseinst.scale.results import coco_results, read_job

    job = read_job(folder)
    results = coco_results(folder, annotations)
    if save is not None:
        write_json(save, results)
    evaluation = evaluate_results(annotations, results, max_dets=max_dets)
    if json is not None:
        write_json(json, evaluation.to_json())
    lowest = job["settings"]["score"]
    _print(evaluation, f"{folder} on {annotations}", score=lowest or 0.0)
    if lowest != 0:
        say(
            "The job kept what was above its score only, so AP is lower than that of the network: sparseinst batch "
            "--score 0 keeps all.",
            style="yellow",
        )


def _chosen(images: Path | None, annotations: Path | None, data: Path | None, part: str | None) -> "Split":
    """The part of a data set that is meant."""
    from sparseinst.data.formats.resolving import resolve_data
    from sparseinst.data.formats.source import Split

    if data is None:
        if images is None or annotations is None:
            raise InputError("expected --images and --annotations, or --data, got neither: name what to measure on")
        return Split(images=images, annotations=annotations)
    if images is not None or annotations is not None:
        raise InputError("expected --data, or --images and --annotations, got both: leave one out")
    source = resolve_data(data)
    split = source.part(part)
    say_found(source)
    return split


def _print(evaluation: "Evaluation", title: str, *, score: float) -> None:
    from sparseinst.evaluation.figures import NOTHING, shown

    say(title, style="bold")
    say(f"{evaluation.images} images, {evaluation.instances} instances, {evaluation.detections} detections")
    columns = ["", f"at {evaluation.max_dets} detections"]
    rows = [list(row) for row in evaluation.table()]
    covering = evaluation.covering
    if covering is not None:
        columns.append(f"at {covering.max_dets} detections")
        for row, (_, value) in zip(rows, covering.table(), strict=True):
            row.append(value)
    print_table(columns, rows)
    if covering is not None:
        say(
            f"Images hold up to {evaluation.most_instances} instances of a class, more than the {evaluation.max_dets} "
            f"detections that count: the second column counts {covering.max_dets}.",
            style="yellow",
        )
    if evaluation.best_f1 > 0:
        say(
            f"The highest F1 at IoU 0.50 of all classes together, {evaluation.best_f1:.3f}, is that of score "
            f"{evaluation.best_score:.2f}."
        )
    if evaluation.twins != NOTHING:
        say(
            f"Of the detections from the default score {score:.2f} on, {evaluation.twins:.1%} have a twin (mask IoU "
            f"above 0.50) and {evaluation.pieces:.1%} are in several pieces."
        )
    if evaluation.counts is not None:
        _print_counts(evaluation.counts)
    present = [item for item in evaluation.per_class if item.instances]
    if len(present) > 1:
        figures = [(item.name, str(item.instances), shown(item.ap), shown(item.ap50)) for item in present]
        print_table(("class", "instances", "AP", "AP50"), figures)


def _print_counts(counts: "Counts") -> None:
    """The figures of people who count: all images pooled; those of each image are in the JSON file and the report."""
    from sparseinst.evaluation.counting import summary_of, table_of

    say(f"From the default score {counts.score:.2f} on:")
    print_table(*table_of(counts.pooled))
    say(summary_of(counts.pooled))
