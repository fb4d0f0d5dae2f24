"""`sparseinst data convert`, `show`, `stats`, `split`."""

from pathlib import Path
from typing import Annotated

import typer

from sparseinst.cli.data_check import Data
from sparseinst.cli.early import check_paths
from sparseinst.cli.options import output_file
from sparseinst.cli.telling import console, print_table, say, say_found
from sparseinst.errors import InputError

Part = Annotated[
    str | None, typer.Option("--split", metavar="train|val|test", help="Part of the data; without it, all of it.")
]


def convert(
    data: Data,
    out: Annotated[Path, typer.Argument(metavar="DST", help="Folder to make, in the usual layout of the format.")],
    to: Annotated[str, typer.Option(metavar="coco|yolo|labelme|labels", help="Format to write.")] = "coco",
) -> None:
    """Write a data set, images included, in another format; what a format cannot hold is told."""
    check_paths(data)
    from sparseinst.data.formats.resolving import resolve_data
    from sparseinst.data.formats.writing import TARGETS, convert_data

    target = next((name for name in TARGETS if name == to), None)
    if target is None:
        raise InputError(f"--to {to}: expected one of {', '.join(TARGETS)}: name one of them")
    source = resolve_data(data)
    say_found(source)
    for line in convert_data(source, out, target):
        say(line)
    say(f"written: {out}")


def show(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.html", help="Page to write.")] = Path("sheet.html"),
    part: Part = None,
    number: Annotated[int, typer.Option("--count", min=1, help="Images of each part, evenly from all.")] = 24,
) -> None:
    """Show images with their annotations on one page."""
    check_paths(data)
    from sparseinst.data.coco import CocoDataset
    from sparseinst.data.formats.resolving import resolve_data
    from sparseinst.files import atomic
    from sparseinst.review.check_page import image_cells
    from sparseinst.review.html import document, sheet

    output_file("--out", out, page=True)
    source = resolve_data(data)
    say_found(source)
    splits = source.splits if part is None else {part: source.part(part)}
    sections = [
        f"<h2>{name}</h2>" + sheet(image_cells(CocoDataset.of(split), number)) for name, split in splits.items()
    ]
    with atomic(out) as temporary:
        temporary.write_text(document(source.name, sections), encoding="utf-8", errors="backslashreplace")
    say(f"page: {out}")


def stats(
    data: Data,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures here.")] = None,
) -> None:
    """Count images, objects, classes and sizes."""
    check_paths(data)
    from sparseinst.data.coco import CocoDataset
    from sparseinst.data.formats.resolving import resolve_data
    from sparseinst.inference.writers import write_json
    from sparseinst.review.stats import statistics

    output_file("--json", json)
    source = resolve_data(data)
    say_found(source)
    figures = {name: statistics(CocoDataset.of(split)) for name, split in source.splits.items()}
    for name, item in figures.items():
        size = item["diameter_px"]
        across = "" if size is None else f", {size['median']:.0f} px across (nine in ten {size['p5']:.0f} to " \
                                         f"{size['p95']:.0f})"  # fmt: skip
        most = item["objects_in_an_image"]
        say(
            f"{name}: {item['images']} images, {item['objects']} objects{across}, {most['median']:.0f} in an image "
            f"(median; at most {most['most']}), {item['images_without_objects']} images without"
        )
    names = list(dict.fromkeys(name for item in figures.values() for name in item["per_class"]))
    rows = [(name, *(str(item["per_class"].get(name, 0)) for item in figures.values())) for name in names]
    print_table(("class", *figures), rows)
    if json is not None:
        write_json(json, figures)
        say(f"figures: {json}")


def split(
    data: Data,
    out: Annotated[Path, typer.Argument(metavar="DST", help="Folder to make: annotation files, images stay.")],
    val: Annotated[float, typer.Option(min=0, max=1, help="Part of the images and objects to choose by.")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=1, help="Part to keep for the end.")] = 0.0,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX|folder",
            help='What is equal in the file names of images that belong together, as "patient[0-9]+", or folder.',
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides among what is equally good.")] = 0,
) -> None:
    """Divide a data set into parts: by image or group, every class evenly, the same picture never in two."""
    check_paths(data)
    from sparseinst.data.check.fixing import write_parts
    from sparseinst.data.formats.resolving import resolve_data
    from sparseinst.data.splitting import check_shares, grouping, merged, split_content

    shares = {name: share for name, share in (("train", 1 - val - test), ("val", val), ("test", test)) if share}
    check_shares(shares)
    grouping(group)
    source = resolve_data(data)
    say_found(source)
    root, content = merged(source)
    with console(stderr=True).status("looking for pictures that are the same ..."):
        parts = split_content(root, content, shares, group=group, seed=seed)
    names = {item["id"]: item["name"] for item in content["categories"]}
    rows = [
        (title, *(str(sum(item["category_id"] == key for item in part["annotations"])) for part in parts.values()))
        for key, title in names.items()
    ]
    print_table(("class", *parts), [("images", *(str(len(part["images"])) for part in parts.values())), *rows])
    say(f"written: {write_parts(out, source.name, {name: (root, part) for name, part in parts.items()})}")
