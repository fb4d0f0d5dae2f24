"""A web site is written whole, with all that it needs, or not at all."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from sparseinst.errors import InputError
from sparseinst.exporting.exporter import export_model
from sparseinst.exporting.formats import with_frame
from sparseinst.files import file_hash
from sparseinst.runtime.backends import open_backend
from sparseinst.runtime.exported import Exported, Provenance
from sparseinst.web import ort as ort_web
from sparseinst.web.model_facts import model_facts
from sparseinst.web.site import write_site
from sparseinst.zoo.models import load_model
from sparseinst.zoo.names import shipped_weights

SCRIPT, WASM = "package/dist/ort.wasm.bundle.min.mjs", "package/dist/ort-wasm-simd-threaded.wasm"


def package_of(**contents: bytes) -> bytes:
    """An npm package of these files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def npm(tmp_path, monkeypatch) -> Path:
    """A stand-in for npm that gives this file, and nothing bundled; its hash is the one that is known."""
    package = tmp_path / "package.tgz"
    package.write_bytes(package_of(**{SCRIPT: b"script", WASM: b"wasm", "package/README.md": b"more"}))
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "npm"
    program.write_text(
        '#!/bin/sh\n[ "$1" = pack ] || exit 1\nwhile [ "$1" != --pack-destination ]; do shift; done\n'
        f'[ -f "{package}" ] || {{ echo no such package >&2; exit 1; }}\ncp "{package}" "$2/onnxruntime-web.tgz"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.defpath}")
    monkeypatch.setattr(ort_web, "BUNDLED", tmp_path / "bundled")
    monkeypatch.setattr(ort_web, "SHA256", hashlib.sha256(package.read_bytes()).hexdigest())
    return package


def test_a_site_has_page_network_settings_and_runtime(deformable, checkpoint, npm, tmp_path) -> None:
    site = tmp_path / "deep" / "site"
    done = export_model(checkpoint, site, export_format="web", size_hw=(96, 64))
    assert done.files[0] == site / "model.onnx" and all(path.is_file() for path in done.files)
    names = {path.relative_to(site).as_posix() for path in done.files}
    runtime = {"ort/ort.js", "ort/ort-wasm-simd-threaded.wasm", "ort/LICENSE.txt"}
    assert {"index.html", "app.js", "style.css", "icon.svg", "browser_worker.js", "model.json"} | runtime <= names
    assert not names & {"server_engine.js", "sample.png"}
    assert "BrowserEngine" in (site / "engine.js").read_text()
    assert (site / "ort" / "ort.js").read_bytes() == b"script"

    backend = open_backend(site / "model.onnx")
    assert backend.exported.activation and backend.config == with_frame(deformable.config, (96, 64))
    told = json.loads((site / "model.json").read_text(encoding="utf-8"))
    assert told["name"] == "tiny" and told["classes"] == ["disc", "größe"] and told["groups"] == 2
    assert told["note"] is None and told["sample"] is None
    assert told["network"]["preprocess"] == {
        "kind": "short_side", "short_px": 64, "long_px": 96, "frame_hw": [96, 64],
    }  # fmt: skip
    for name in ("gate", "mask_threshold", "least_piece"):
        assert told["network"][name] == getattr(deformable.config.postprocess, name)
    assert told["network"]["file"] == "model.onnx" and told["network"]["images"] == "uint8"


def test_any_frame_is_told_to_the_page(model, npm, tmp_path) -> None:
    (tmp_path / "site").mkdir()
    write_site(tmp_path / "site", Exported(config=model.config))
    told = json.loads((tmp_path / "site" / "model.json").read_text(encoding="utf-8"))
    assert told["network"]["preprocess"]["frame_hw"] is None and told["name"] == "network"


def test_the_shipped_weights_come_with_a_note_and_a_sample(npm, tmp_path) -> None:
    weights = shipped_weights("nuclei")
    config = load_model("nuclei").config
    for digest, shipped in ((file_hash(weights), True), ("0" * 64, False)):
        site = tmp_path / digest[:8]
        site.mkdir()
        origin = Provenance(source="nuclei.safetensors", sha256=digest, version="1", date="2000-01-01")
        write_site(site, Exported(config=config, provenance=origin))
        told = json.loads((site / "model.json").read_text(encoding="utf-8"))
        assert (told["sample"] == "sample.png") == (site / "sample.png").is_file() == shipped
        assert (told["note"] is not None) == shipped
    assert "sparseinst serve" in model_facts("nuclei", config, shipped=True, otherwise="sparseinst serve")["note"]


def test_a_folder_that_is_in_use_stays_as_it_is(model, npm, tmp_path) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(InputError, match="found one"):
        export_model(model, tmp_path, export_format="web")
    assert (tmp_path / "kept.txt").read_text() == "kept"


def test_bundled_files_need_no_npm(npm, tmp_path, monkeypatch) -> None:
    ort_web.fetch_runtime(ort_web.BUNDLED)
    monkeypatch.setenv("PATH", "")
    ort_web.provide(tmp_path / "ort")
    assert ort_web.is_complete(tmp_path / "ort")
    (ort_web.BUNDLED / "LICENSE.txt").write_text("another version")
    assert not ort_web.is_complete(ort_web.BUNDLED)


def test_without_npm_it_says_what_to_install(model, npm, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"onnxruntime-web@.*npm.*install Node\.js"):
        export_model(model, tmp_path / "site", export_format="web")
    assert not (tmp_path / "site").exists()


def test_what_npm_says_is_passed_on(npm, tmp_path) -> None:
    npm.unlink()
    with pytest.raises(InputError, match="no such package"):
        ort_web.provide(tmp_path / "ort")


def test_another_package_is_refused(npm, tmp_path) -> None:
    npm.write_bytes(package_of(**{SCRIPT: b"evil", WASM: b"wasm"}))
    with pytest.raises(InputError, match="SHA-256"):
        ort_web.provide(tmp_path / "ort")
    assert not (tmp_path / "ort").exists()
