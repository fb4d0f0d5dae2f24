"""Every reader of files and texts that others may have made, and whole files for it."""

import contextlib
import io
import shutil
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from fuzzing import pictures, service, sets
from fuzzing.running import Reader
from sparseinst.cells.qupath import read_regions
from sparseinst.config.model import ModelConfig
from sparseinst.config.preprocess import IntensityConfig, ShortSideConfig
from sparseinst.data import archives
from sparseinst.data.channels import read_picture, read_pixels
from sparseinst.data.check.checkup import check_data
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.large.image import large_size_hw, open_large
from sparseinst.data.pages import read_pages
from sparseinst.data.records import parse_records
from sparseinst.data.sources import find_sources
from sparseinst.data.stacks.pages import read_places
from sparseinst.data.stacks.stack import View
from sparseinst.data.video.source import open_video
from sparseinst.errors import InputError
from sparseinst.evaluation.inputs import detections, ground_truth
from sparseinst.parsing import read_json
from sparseinst.runtime.backends import open_backend
from sparseinst.runtime.exported_backend import load_program
from sparseinst.runtime.program_archive import safe_archive
from sparseinst.scale.listing import list_input
from sparseinst.scale.pieces import cut_input
from sparseinst.scale.reading import read_groups
from sparseinst.training.facts import read_facts
from sparseinst.training.recipe_file import load_recipe, use_recipe
from sparseinst.training.settings import apply_settings, parse_assignments
from sparseinst.video.zones import parse_zone
from sparseinst.zoo.checkpoint import read_checkpoint
from sparseinst.zoo.header import checkpoint_extra
from sparseinst.zoo.models import load_model
from sparseinst.zoo.names import load_preset
from sparseinst.zoo.tensors import read_tensors

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "v01"
_PACKAGE = Path(__file__).resolve().parents[2] / "src" / "sparseinst"
_INTENSITY = IntensityConfig()


class Tried(NamedTuple):
    """A reader, and what writes whole files for it."""

    reader: Reader
    write: Callable[[Path], Any]


def _only(folder: Path, suffix: str = "") -> Path:
    return next(path for path in sorted(folder.iterdir()) if path.name.startswith("a") and path.name.endswith(suffix))


def _each(*reads: Callable[[], object]) -> None:
    """Does all, and raises the last refusal of one, which is to be told well as any other."""
    refusal = None
    for read in reads:
        try:
            read()
        except InputError as error:
            refusal = error
    if refusal is not None:
        raise refusal


def _pages(folder: Path) -> None:
    for page in islice(read_pages(_only(folder), _INTENSITY), 3):
        page.read()


def _places(folder: Path) -> None:
    def read(view: View) -> None:
        for placed in islice(read_places(_only(folder), _INTENSITY, view), 3):
            placed.page.read()

    _each(partial(read, View()), partial(read, View("0", "max", "0")))


def _windows(folder: Path) -> None:
    path = _only(folder)
    large_size_hw(path)
    with open_large(path, _INTENSITY) as image:
        height, width = image.size_hw
        image.read((slice(0, min(height, 20)), slice(0, min(width, 40))))
        image.read((slice(max(0, height - 9), height), slice(max(0, width - 9), width)))
        if height * width < 10**6:
            image.overview(2)


def _channels(folder: Path) -> None:
    path = _only(folder)

    def read(channels: int) -> None:
        read_pixels(path, ShortSideConfig(channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels))

    _each(*(partial(read, channels) for channels in (2, 3, 4)), partial(read_picture, path))


def _set(folder: Path) -> None:
    source = resolve_data(next(iter(folder.glob("mine.yaml")), folder))
    for split in source.splits.values():
        dataset = CocoDataset.of(split)
        for index in range(min(len(dataset), 2)):
            dataset.rles(index)


def _checked_set(folder: Path) -> None:
    check_data(resolve_data(folder), ModelConfig(classes=("a",)))


def _archives(folder: Path) -> None:
    archives._row_group.cache_clear()  # files of one name differ from case to case
    stored = archives.Stored.find(folder, ["0.jpg", "a", "a.png"])
    for index in range(3):
        if stored is not None and index not in stored.missing:
            stored.read(index)


def _results(folder: Path) -> None:
    path = folder / "truth.annotations"
    content = read_json(path, expected="annotations")
    parse_records(path, content)
    truth = ground_truth(content, path)
    detections(folder / "results.json", truth, path)


def _batch(folder: Path) -> None:
    listing = list_input(str(_only(folder)))
    for piece in cut_input(listing, rows=2, limit=None, column=None):
        for group in read_groups(piece, rows=2, size=2, done=frozenset()):
            for item in group.items:
                assert (item.content is None) != (item.error is None), item


def _settings(folder: Path) -> None:
    apply_settings(load_preset("r50-giam"), parse_assignments(_only(folder).read_text(errors="replace").split("\n")))


def _recipe(folder: Path) -> None:
    use_recipe(load_preset("r50-giam"), load_recipe(_only(folder)))


def _checkpoint(folder: Path) -> None:
    read_checkpoint(_only(folder))
    checkpoint_extra(_only(folder))


def _zones(folder: Path) -> None:
    for line in _only(folder).read_text(errors="replace").splitlines():
        parse_zone(line)


def _names(folder: Path) -> None:
    for line in _only(folder).read_text(errors="surrogateescape").split("\n"):
        readers = (find_sources, _list, resolve_data, open_backend, open_video, load_preset)
        _each(*(partial(read, line) for read in readers), partial(read_regions, Path(line)))


def _list(name: str) -> object:
    return list_input(name) if "://" not in name else None


def _frames(folder: Path) -> None:
    with contextlib.closing(open_video(str(_only(folder)))) as video:
        for _ in islice(video, 8):
            pass


def _copies(suffix: str, *files: Path) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for number, file in enumerate(files):
            (folder / f"{number}").mkdir(parents=True)
            shutil.copyfile(file, folder / f"{number}" / f"a.{suffix}")

    return write


def _exported(*suffixes: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "0").mkdir(parents=True)
        with zipfile.ZipFile(FIXTURES / "exported.zip") as archive:
            for suffix in suffixes:
                (folder / "0" / f"a.{suffix}").write_bytes(archive.read(f"tiny.{suffix}"))

    return write


def _pickled(folder: Path) -> None:
    import pickle

    tensors = {f"backbone.{number}.weight": torch.randn(4, 3) for number in range(3)}
    (folder / "0").mkdir(parents=True)
    torch.save({"model": tensors, "iteration": 7}, folder / "0" / "a.pth")
    content = io.BytesIO()
    torch.save(tensors, content, _use_new_zipfile_serialization=False)
    (folder / "1").mkdir()
    (folder / "1" / "a.pth").write_bytes(content.getvalue())
    for protocol in (0, 2, 4):
        (folder / f"{2 + protocol}").mkdir()
        arrays = {name: np.asarray(tensor) for name, tensor in tensors.items()}
        (folder / f"{2 + protocol}" / "a.pkl").write_bytes(pickle.dumps({"model": arrays}, protocol))


def _metrics(folder: Path) -> None:
    from sparseinst.training.logs import read_table

    read_table(_only(folder))


_WAYS: dict[str, tuple[Callable[[Path], object], tuple[str, ...], int, Callable[[Path], Any]]] = {
    "image png": (_pages, ("*.png",), 90, pictures.png),
    "image jpeg": (_pages, ("*.jpg",), 90, pictures.jpeg),
    "image tiff": (_pages, ("*.tif",), 60, pictures.tiff),
    "image gif": (_pages, ("*.gif",), 40, pictures.others("gif", ("P", {}), ("P", {"save_all": True}))),
    "image webp": (_pages, ("*.webp",), 40, pictures.others(
        "webp", ("RGB", {}), ("RGBA", {"lossless": True}), ("RGB", {"save_all": True}))),
    "image bmp": (_pages, ("*.bmp",), 30, pictures.others("bmp", ("RGB", {}), ("P", {}), ("1", {}))),
    "image ppm": (_pages, ("*.p?m",), 20, pictures.others("ppm", ("RGB", {}), ("L", {}))),
    "image avif": (_pages, ("*.avif",), 10, pictures.others("avif", ("RGB", {}), ("RGBA", {"save_all": True}))),
    "image heic": (_pages, ("*.heic",), 5, pictures.heic),
    "stack tiff": (_places, ("*.tif",), 20, pictures.stacks),
    "windows tiff": (_windows, ("*.tif",), 20, pictures.tiff),
    "windows zarr": (_windows, ("*",), 8, pictures.zarr_folders),
    "stack zarr": (_places, ("*",), 4, pictures.zarr_folders),
    "stack CZI": (_places, ("*.czi",), 10, pictures.makers("czi")),
    "stack LIF": (_places, ("*.lif",), 10, pictures.makers("lif")),
    "channels": (_channels, ("*.tif", "*.npy", "*.png"), 20, pictures.channels),
    "annotations COCO": (_set, ("*.json",), 40, sets.coco),
    "annotations YOLO": (_set, ("*.txt", "*.yaml"), 40, sets.yolo),
    "annotations LabelMe": (_set, ("*.json",), 40, sets.labelme),
    "annotations label images": (_set, ("*.csv", "*/masks/*", "masks/*"), 40, sets.labels),
    "annotations objects": (_set, ("masks/*",), 20, sets.objects),
    "annotations VOC": (_set, ("*.txt", "Segmentation*/*"), 40, sets.voc),
    "annotations data.yaml": (_set, ("*.yaml",), 20, sets.data_yaml),
    "annotations checked": (_checked_set, ("*.json",), 4, sets.coco),
    "annotations in tar shards": (_archives, ("*.tar",), 10, sets.tars),
    "annotations in Parquet": (_archives, ("*.parquet",), 5, sets.parquets),
    "results COCO": (_results, ("*.json", "*.annotations"), 30, sets.results),
    "settings preset": (lambda folder: load_preset(_only(folder)), ("*.yaml",), 8, _copies(
        "yaml", FIXTURES / "mine.yaml", FIXTURES / "nuclei.yaml", _PACKAGE / "zoo" / "presets" / "lite.yaml")),
    "settings recipe": (_recipe, ("*.yaml",), 8, _copies("yaml", *sorted((_PACKAGE / "training/recipes").iterdir()))),
    "settings run": (lambda folder: read_facts(folder), ("*.yaml",), 8, lambda folder: (
        sets.texts("yaml", "data: d\nnetwork: lite\nlog: [csv]\nlog_ids: {a: b}\n")(folder),
        (folder / "0" / "a.yaml").rename(folder / "0" / "run.yaml"))),
    "settings --set": (_settings, ("*.set",), 10, sets.texts(
        "set", "optim.lr=1e-4\nbatch=2", "preprocess.frame_hw=[416, 448]\ndecoder.slots=50", "epochs=null")),
    "checkpoint safetensors": (_checkpoint, ("*.safetensors",), 60, _copies(
        "safetensors", FIXTURES / "tiny.safetensors", FIXTURES / "tiny-half.safetensors")),
    "checkpoint as network": (lambda folder: load_model(_only(folder)), ("*.safetensors",), 1, _copies(
        "safetensors", FIXTURES / "tiny.safetensors")),
    "checkpoint pickled": (lambda folder: read_tensors(_only(folder)), ("*.p*",), 60, _pickled),
    "export .pt2": (lambda folder: safe_archive(_only(folder)), ("*.pt2",), 4, _exported("pt2")),
    "export .pt2 opened": (lambda folder: load_program(_only(folder)), ("*.pt2",), 0.2, _exported("pt2")),
    "export ONNX": (lambda folder: open_backend(_only(folder), threads=1), ("*.onnx",), 1, _exported("onnx")),
    "export OpenVINO": (lambda folder: open_backend(_only(folder, ".xml"), threads=1), ("*.xml",), 0.2,
                        _exported("xml", "bin")),
    "table regions": (lambda folder: read_regions(_only(folder)), ("*.geojson",), 40, sets.regions),
    "table ROI": (lambda folder: read_regions(_only(folder)), ("*.roi", "*.zip"), 20, sets.rois),
    "table list": (lambda folder: (find_sources(_only(folder)), list_input(str(_only(folder)))), ("*.txt",), 40,
                   sets.texts("txt", "a.png\nb/c.tif\n", "\ufeffa.png\n\n")),
    "table zones": (_zones, ("*.zone",), 40, sets.texts("zone", "gate=line:0,100,640,100", "polygon:0,0,9,0,9,9,0,9")),
    "table names": (_names, ("*.name",), 8, sets.texts("name", "a.png", "frames/%04d.png", "a*.png", "/dev/video99",
                                                       "a.safetensors\nb.onnx\nc.mp4", "~/a.yaml")),
    "table metrics": (_metrics, ("*.csv",), 20, _copies("csv", FIXTURES / "run-whole.csv")),
    "batch tar": (_batch, ("*.tar",), 20, sets.tars),
    "batch Parquet": (_batch, ("*.parquet",), 10, sets.parquets),
    "video": (_frames, ("a.*",), 5, pictures.videos),
    "service form": (service.read_request, ("*.body", "*.json"), 10, service.forms),
    "service JSON": (service.read_request, ("*.json",), 10, service.bodies),
    "service address and headers": (service.read_request, ("*.json",), 10, service.addresses),
    "service stream": (service.read_stream, ("*.json",), 10, service.streams),
}  # fmt: skip

READERS: dict[str, Tried] = {
    name: Tried(Reader(read, damaged, share), write) for name, (read, damaged, share, write) in _WAYS.items()
}
"""By what they read."""


def shares(names: list[str], cases: int) -> Iterator[tuple[str, int]]:
    """How many cases each reader gets of so many in all, one at least."""
    whole = sum(READERS[name].reader.share for name in names)
    for name in names:
        yield name, max(1, round(cases * READERS[name].reader.share / whole))
