"""A wrong value is told before PyTorch is loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import json, sys
from typer.testing import CliRunner
from sparseinst.cli.app import app

answers = {}
for name, words in json.load(sys.stdin).items():
    result = CliRunner().invoke(app, words)
    answers[name] = result.exit_code, result.stderr, "torch" in sys.modules
print(json.dumps(answers))
"""
DATA = Path(__file__).parents[1] / "data_files" / "nuclei"
PREDICT, EVALUATE = ["predict", "{file}"], ["evaluate", "--model", "nuclei", "--data", "{data}"]
EXPORT, TRAIN = ["export", "nuclei", "--out", "x.onnx", "--format"], ["train", "--data", "{data}"]
BATCH, SPLIT = ["batch", "{data}", "--out", "o"], ["data", "split", "{data}", "o"]
WRONG = {
    "model": ([*PREDICT, "--model", "tree"], "no preset or file of this name"),
    "without weights": ([*PREDICT, "--model", "r50"], "ships without weights"),
    "weights": ([*PREDICT, "--model", "no.safetensors"], "expected a weights file"),
    "source": (["predict", "no-such.png"], "found none"),
    "pattern": (["predict", "no/*.png"], "expected a pattern that matches"),
    "video": (["predict", "no.mp4"], "expected a video file"),
    "backend": ([*PREDICT, "--backend", "foo"], "backend 'foo'"),
    "device": ([*PREDICT, "--device", "foo"], "device 'foo'"),
    "classes": ([*PREDICT, "--classes", "foo"], "it knows: nucleus"),
    "tile": ([*PREDICT, "--tile", "1"], "tile must be at least 2"),
    "overlap": ([*PREDICT, "--overlap", "9"], "expected a tile size with it"),
    "scale": ([*PREDICT, "--scale", "0"], "scale: expected a number above 0"),
    "scale of another": ([*PREDICT, "--scale", "2", "--model", "lite", "--random-weights"], "at native scale"),
    "diameter": ([*PREDICT, "--diameter", "foo"], "expected pixels or auto"),
    "projection": ([*PREDICT, "--project", "foo"], "expected max"),
    "pixel size": ([*PREDICT, "--pixel-size", "0"], "micrometres above 0"),
    "regions": ([*PREDICT, "--regions", "no.roi"], "no.roi"),
    "tracker": ([*PREDICT, "--tracker", "foo"], "expected one of mask"),
    "zone": ([*PREDICT, "--zone", "foo"], "zone 'foo'"),
    "film": ([*PREDICT, "--save", "a.foo"], "expected a video ending in"),
    "maps": ([*PREDICT, "--iam", "--backend", "onnxruntime"], "for activation maps"),
    "annotations": (["evaluate", "--model", "nuclei", "--images", "{file}", "--annotations", "no.json"], "no.json"),
    "part": ([*EVALUATE, "--split", "foo"], "expected one of its parts"),
    "report": ([*EVALUATE, "--report", "{data}"], "expected a new or empty folder"),
    "both": ([*EVALUATE, "--scale", "2", "--diameter", "3"], "got both"),
    "serve": (["serve", "--timeout", "-1"], "timeout_s"),
    "open": (["serve", "--host", "0.0.0.0"], "expected an API key"),
    "site": (["serve", "--cors", "foo"], "expected a site"),
    "format": ([*EXPORT, "foo"], "format 'foo'"),
    "suffix": ([*EXPORT, "openvino"], "ends in .xml"),
    "frame": ([*EXPORT, "onnx", "--size", "3x5"], "size 3x5"),
    "precision": ([*EXPORT, "onnx", "--int8"], "format onnx offers fp32, fp16"),
    "calibration": ([*EXPORT, "onnx", "--calibration", "no"], "found none"),
    "published": (["convert", "{file}"], "expected a published checkpoint"),
    "repository": (["push", "nuclei", "ab"], "expected owner/name"),
    "metrics": (["push", "nuclei", "a/b", "--metrics", "no.json"], "no.json"),
    "info": (["info", "tree"], "no preset"),
    "benchmark": (["benchmark", "--backend", "foo"], "backend 'foo'"),
    "shard": ([*BATCH, "--shard", "5/3"], "expected a number in 0..2"),
    "batch": ([*BATCH, "--diameter", "-1"], "diameter: expected a number above 0"),
    "stains": ([*BATCH, "--model", "{stains}", "--random-weights"], "batch: expected a network of pictures in grey"),
    "stains served": (["serve", "--model", "{stains}", "--random-weights"], "the service and its page: expected"),
    "runs": (["runs", "no"], "found nothing"),
    "check": (["data", "check", "{data}", "--model", "tree"], "no preset"),
    "shares": ([*SPLIT, "--val", "0.9", "--test", "0.9"], "expected parts above 0"),
    "group": ([*SPLIT, "--group", "["], "expected a regular expression"),
    "target": (["data", "convert", "{data}", "o", "--to", "foo"], "expected one of coco"),
    "errors": (["data", "errors", "{data}", "--model", "nuclei", "--split", "foo"], "expected one of its parts"),
    "proposals": (["data", "annotate", "{data}", "--model", "nuclei", "--out", "o", "--to", "foo"], "--to foo"),
    "cutouts": (["data", "synth", "--cutouts", "no", "--out", "o"], "found nothing"),
    "data": (["train", "--data", "{data}-not"], "found nothing"),
    "setting": ([*TRAIN, "--set", "optim.lr=x"], "setting optim.lr"),
    "recipe": ([*TRAIN, "--recipe", "foo"], "no recipe or file of this name"),
    "augmentation": ([*TRAIN, "--augment", "foo"], "augment 'foo'"),
    "start": ([*TRAIN, "--init", "no.pth"], "expected a weights file to start from"),
    "length": ([*TRAIN, "--epochs", "1", "--iterations", "2"], "got both"),
    "rate": ([*TRAIN, "--lr", "-1"], "optim.lr"),
    "freeze": ([*TRAIN, "--freeze", "foo"], "expected backbone, none or a stride"),
    "log": ([*TRAIN, "--log", "foo"], "log 'foo'"),
    "run": (["train", "--resume", "{data}"], "expected the folder of a run"),
}


Answers = dict[str, tuple[int, str, bool]]
"""By name, the exit code, standard error, and whether PyTorch was loaded by then."""


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> Answers:
    folder = tmp_path_factory.mktemp("early")
    (folder / "a.png").touch()
    (folder / "stains.yaml").write_text("description: stains\nmodel: {preprocess: {channels: 2}}")
    places = {"file": folder / "a.png", "data": DATA, "stains": folder / "stains.yaml"}
    commands = {name: [word.format(**places) for word in words] for name, (words, _) in WRONG.items()}
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, cwd=folder, input=json.dumps(commands), capture_output=True, text=True, check=True)
    found: Answers = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_told_before_torch_is_loaded(name: str, answers: Answers) -> None:
    code, told, torch_is_loaded = answers[name]
    assert code == 2 and WRONG[name][1] in " ".join(told.split())
    assert not torch_is_loaded
