import json
from pathlib import Path

import pytest
from PIL import Image

from sparseinst.zoo.models import load_model
from sparseinst.zoo.names import DEFAULT_MODEL


@pytest.fixture
def pictures(tiny_data: Path, tmp_path: Path) -> Path:
    """Two images."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("0.png", "1.png"):
        (folder / name).write_bytes((tiny_data / "val" / name).read_bytes())
    return folder


def test_a_folder_gives_pictures_and_one_line(cli, pictures, checkpoint, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("predict", "pictures", "--model", checkpoint, "--score", 0, "--save-json", "--save-masks")
    assert result.exit_code == 0, result.stderr
    out = tmp_path / "predictions"
    names = {f"{stem}_{kind}.png" for stem in "01" for kind in ("overlay", "labels")} | {"predictions.json"}
    assert {path.name for path in out.iterdir()} == names
    content = json.loads((out / "predictions.json").read_text())
    assert len(content["images"]) == 2
    closing = result.stdout.splitlines()[0]
    assert closing.startswith("2 images, ") and "box (x0 y0 x1 y1)" not in result.stdout
    assert f"{len(content['annotations'])} instances" in closing
    assert "s per image" in closing and closing.endswith("look at predictions")
    assert "nuclei" not in result.stdout


def test_one_image_gets_a_table(cli, pictures, checkpoint, tmp_path) -> None:
    result = cli("predict", pictures / "0.png", "--model", checkpoint, "--score", 0, "--out", tmp_path / "out")
    assert "box (x0 y0 x1 y1)" in result.stdout and f"[1/1] {pictures}/0.png: " in result.stdout


def test_as_much_is_told_as_is_asked_for(cli, pictures, checkpoint, tmp_path) -> None:
    common = ("predict", pictures, "--model", checkpoint, "--out", tmp_path / "out", "--score", 0)
    lines = cli(*common, "--verbose").stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines[:2]] == [f"[{i + 1}/2] {pictures}/{i}.png" for i in (0, 1)]
    (pictures / "0a.png").write_bytes((pictures / "0.png").read_bytes()[:50])
    quiet = cli(*common, "--quiet")
    assert (quiet.exit_code, quiet.stdout) == (1, "") and quiet.stderr.startswith("[2/3] skipped: ")
    assert cli(*common).stdout.startswith("2 images"), "the next command is not quiet"
    assert cli(*common, "--quiet", "--verbose").exit_code == 2


def test_a_broken_file_is_named_and_the_rest_done(cli, pictures, checkpoint, tmp_path) -> None:
    (pictures / "0a.png").write_bytes((pictures / "0.png").read_bytes()[:50])
    result = cli("predict", pictures, "--model", checkpoint, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "0a.png" in result.stderr and "Traceback" not in result.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"0_overlay.png", "1_overlay.png"}
    assert "2 images, 1 broken file skipped" in result.stdout


def test_a_broken_page_is_named_and_the_rest_done(cli, pictures, checkpoint, tmp_path) -> None:
    path = pictures / "s.tif"
    page = Image.new("RGB", (64, 64))
    page.save(path, save_all=True, append_images=[page, page], compression="tiff_deflate")
    with Image.open(path) as image:
        image.seek(1)
        start = image.tag_v2[273][0]
    content = path.read_bytes()
    path.write_bytes(content[:start] + b"\xff" * 8 + content[start + 8 :])
    result = cli("predict", pictures, "--model", checkpoint, "--out", tmp_path / "out", "--score", 1, "--verbose")
    assert result.exit_code == 1
    assert f"[3/3] skipped: {path}[1]: expected a whole image" in result.stderr and "Traceback" not in result.stderr
    assert f"[3/3] {path}[2] of 3: nothing" in result.stdout
    assert "4 images, 1 broken page skipped" in result.stdout
    names = {f"{stem}_overlay.png" for stem in ("0", "1", "s_0", "s_2")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names


def test_what_was_not_read_is_told(cli, pictures, checkpoint, tmp_path) -> None:
    common = ("predict", pictures, "--model", checkpoint, "--out", tmp_path / "out")
    (pictures / "notes.txt").touch()
    assert "not read" not in cli(*common).stdout
    (pictures / "notes.docx").touch()
    result = cli(*common)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 file not read: notes.docx" in result.stdout
    for i in range(7):
        (pictures / f"{i}.oib").touch()
    result = cli(*common)
    assert result.exit_code == 1
    assert "8 files not read: 0.oib, 1.oib, 2.oib, 3.oib, 4.oib and 3 more" in result.stdout
    assert "4.oib and 2 more; convert them to TIFF or PNG" in result.stderr


def test_subfolders(cli, pictures, checkpoint, tmp_path) -> None:
    (pictures / "sub").mkdir()
    (pictures / "1.png").rename(pictures / "sub" / "0.png")
    common = ("predict", pictures, "--model", checkpoint, "--save-json", "--out", pictures / "out")
    assert "1 image," in cli(*common).stdout
    for _ in range(2):
        result = cli(*common, "--recursive")
        assert result.exit_code == 0, result.stderr
        content = json.loads((pictures / "out/predictions.json").read_text())
        assert [image["file_name"] for image in content["images"]] == ["0.png", "sub/0.png"]
    assert {path.name for path in (pictures / "out").iterdir()} == {
        "predictions.json", "0_overlay.png", "sub_0_overlay.png",
    }  # fmt: skip
    for source, *more in ((pictures / "0.png",), (pictures, "--track")):
        result = cli("predict", source, "--model", checkpoint, "--recursive", *more, "--out", tmp_path / "out")
        assert result.exit_code == 2 and "recursive" in result.stderr


def test_nothing_found_is_said(cli, pictures, checkpoint, tmp_path) -> None:
    result = cli("predict", pictures / "0.png", "--model", checkpoint, "--score", 1, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "nothing with a score above 1" in result.stdout and "1 image, 0 instances" in result.stdout


def test_classes_are_chosen_by_name(cli, pictures, checkpoint, tmp_path) -> None:
    common = ("predict", pictures, "--model", checkpoint, "--score", 0, "--save-json", "--out", tmp_path / "out")
    for given, kept in (("disk", {1}), ("box", {2}), ("box, disk", {1, 2})):
        assert cli(*common, "--classes", given).exit_code == 0
        content = json.loads((tmp_path / "out/predictions.json").read_text())
        assert {item["category_id"] for item in content["annotations"]} <= kept
    result = cli(*common, "--classes", "disk,tree")
    assert result.exit_code == 2
    assert "'tree'" in result.stderr and "disk, box" in result.stderr


def test_the_default_model_says_what_it_knows(cli, pictures, checkpoint, tmp_path, monkeypatch) -> None:
    asked = []

    def load(name: object, **options: object):
        asked.append((name, options["weights"]))
        return load_model(checkpoint)

    monkeypatch.setattr("sparseinst.zoo.models.load_model", load)
    result = cli("predict", pictures, "--out", tmp_path / "out")
    assert asked == [(DEFAULT_MODEL, None)]
    (line,) = [line for line in result.stdout.splitlines() if "nuclei in micrographs" in line]
    assert "--model FILE.pth" in line
    assert DEFAULT_MODEL in cli("predict", "--help").stdout
    assert "nuclei in micrographs" not in cli("predict", pictures, "--model", "x", "--out", tmp_path / "out").stdout


def test_weights_of_a_named_model(cli, pictures, preset, checkpoint, tmp_path) -> None:
    result = cli("predict", pictures, "--model", preset, "--weights", checkpoint, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr


def test_options_reach_the_function(cli, pictures, checkpoint, tmp_path, monkeypatch) -> None:
    given = {}

    def capture(source: str, **options: object):
        given.update(options, source=source)
        raise KeyboardInterrupt

    monkeypatch.setattr("sparseinst.inference.prediction.predict_files", capture)
    cli("predict", pictures, "--model", checkpoint, "--score", 0.4, "--batch", 3, "--half", "--device", "cpu")
    assert given["source"] == str(pictures)
    assert (given["score"], given["batch"], given["half"], given["device"]) == (0.4, 3, True, "cpu")
    assert (given["out"], given["save_json"], given["save_masks"]) == (Path("predictions"), False, False)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["gone.png"], "gone.png"),
        (["empty"], "empty"),
        (["*.tif"], "*.tif"),
        (["pictures", "--device", "toaster"], "toaster"),
        (["pictures", "--out", "file"], "file"),
        (["pictures", "--model", "nucleii"], "nuclei"),
        (["pictures", "--model", "cut.safetensors"], "cut.safetensors"),
        (["pictures", "--model", "w.pth"], "w.pth: expected a weights file"),
    ],
)
def test_wrong_input_names_itself(cli, pictures, checkpoint, tmp_path, monkeypatch, arguments, named) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").touch()
    Path("cut.safetensors").write_bytes(checkpoint.read_bytes()[:100])
    model = [] if "--model" in arguments else ["--model", checkpoint]
    result = cli("predict", *arguments, *model)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert named in result.stderr


def test_a_file_name_that_is_no_text(cli, pictures, checkpoint, tmp_path) -> None:
    odd = pictures / "b\udcff.png"
    try:
        Image.new("L", (64, 64)).save(odd)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes only names that are text")
    result = cli("predict", pictures, "--model", checkpoint, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "3 images" in result.stdout


def test_an_image_that_fills_all_places_is_told(cli, pictures, checkpoint, seeds_checkpoint, tmp_path) -> None:
    def told(*arguments: object) -> str:
        result = cli("predict", pictures, "--score", 0, "--out", tmp_path / "out", *arguments)
        assert result.exit_code == 0, result.stderr
        return next((line for line in result.stdout.splitlines() if "there may be more" in line), "")

    full = "2 images filled all 2 places: there may be more objects; raise --max-instances"
    assert told("--model", seeds_checkpoint, "--max-instances", 2) == full
    assert told("--model", seeds_checkpoint, "--max-instances", 2000) == ""
    assert told("--model", checkpoint, "--max-instances", 2) == full
    assert "all 6 places" in told("--model", checkpoint) and told("--model", checkpoint).endswith("with --tile")
    too_many = cli("predict", pictures, "--model", checkpoint, "--max-instances", 7, "--out", tmp_path / "out")
    assert too_many.exit_code == 2 and "at most 6" in too_many.stderr
