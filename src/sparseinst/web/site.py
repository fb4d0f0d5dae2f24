"""A network as a static web site that segments in the visitor's own browser; any web server serves it."""

import json
import shutil
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from sparseinst.config.preprocess import NativeConfig
from sparseinst.files import file_hash
from sparseinst.inference.options import colours_only
from sparseinst.inference.tiling import largest_tiles
from sparseinst.runtime.exported import Exported
from sparseinst.web import ort as ort_web
from sparseinst.web.model_facts import SAMPLE, model_facts
from sparseinst.zoo.names import DEMO_IMAGE, shipped_weights

NETWORK_FILE = "model.onnx"

_PAGE = Path(str(files("sparseinst") / "web" / "page"))
_KINDS = (".css", ".html", ".js", ".svg")
_OF_A_SERVICE = ("engine.js", "server_engine.js")
_ENGINE = """\
import { BrowserEngine } from "./browser_engine.js";

export const engine = new BrowserEngine();
"""
_SIZES = {"kind", "short_px", "long_px", "scale", "frame_hw", "one_pass_px"}
"""Of the settings of preprocessing, as far as a kind has them: what a page needs to bring a picture to the network."""
_POSTPROCESS = {"gate", "mask_threshold", "least_piece"}
"""Of the settings of what comes after the network, those that do not change with the picture or the visitor's wish."""
_MOST_PIXELS = 50_000_000
"""Of a picture: a phone's tab holds the values of so many."""


def write_site(folder: Path, exported: Exported) -> None:
    """Writes all of a site but its network, which is `NETWORK_FILE` there.

    Args:
        folder: the site.
        exported: what the network says about itself.

    Raises:
        InputError: ONNX Runtime for browsers cannot be had.
    """
    colours_only(exported.config, "a site")
    ort_web.provide(folder / "ort")
    for path in _PAGE.iterdir():
        if path.suffix in _KINDS and path.name not in _OF_A_SERVICE:
            shutil.copyfile(path, folder / path.name)
    (folder / "engine.js").write_text(_ENGINE, encoding="utf-8")
    model = _model(exported)
    if model["sample"] is not None:
        shutil.copyfile(DEMO_IMAGE, folder / SAMPLE)
    content = json.dumps(model, indent=2, ensure_ascii=False)
    (folder / "model.json").write_text(content + "\n", encoding="utf-8")


def _model(exported: Exported) -> dict[str, object]:
    """What the page shows of the network, and what `browser_network.js` has to know to run it."""
    config, origin = exported.config, exported.provenance
    name = "network" if origin is None or origin.source is None else Path(origin.source).stem
    ours = shipped_weights(name)
    shipped = ours is not None and origin is not None and origin.sha256 == file_hash(ours)
    told = model_facts(name, config, shipped=shipped, otherwise="sparseinst export MODEL --format web --out FOLDER")
    return {
        **told,
        "limits": {"pixels": _MOST_PIXELS},
        "network": {
            "file": NETWORK_FILE,
            "images": exported.images,
            "activation": config.decoder.activation,
            "preprocess": config.preprocess.model_dump(mode="json", include=_SIZES),
            "tiles": asdict(largest_tiles(config.preprocess)) if isinstance(config.preprocess, NativeConfig) else None,
            **config.postprocess.model_dump(mode="json", include=_POSTPROCESS),
        },
    }
