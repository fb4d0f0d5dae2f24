import io

import pytest
from rich.console import Console

from shapes import tiny_preset
from sparseinst.errors import InputError
from sparseinst.recipe import Preset, Recipe
from sparseinst.training.recipe_file import load_recipe, recipe_names, use_recipe
from sparseinst.training.settings import apply_settings, scale_sizes
from sparseinst.training.trainer import train
from sparseinst.zoo.names import load_preset, preset_names

SLOTS = {"kind": "slots"}
SEEDS = {"kind": "seeds"}


def fits(network: str, name: str) -> bool:
    return load_recipe(name).decoder in ("any", load_preset(network).model.decoder.kind)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_fits_every_network_of_its_kind(name):
    recipe_file = load_recipe(name)
    for network in preset_names():
        before = load_preset(network)
        if not fits(network, name):
            with pytest.raises(InputError, match=f"networks of {before.model.decoder.kind}, .*fine-tune"):
                use_recipe(before, recipe_file)
            continue
        preset = use_recipe(before, recipe_file)
        assert preset.model.decoder == before.model.decoder
        assert preset.model.encoder == before.model.encoder
        if before.model.decoder.kind == "seeds":  # a crop is all that it learns in
            assert preset.model.preprocess == before.model.preprocess
            assert preset.recipe.augment.frame_hw == before.recipe.augment.frame_hw
            assert preset.recipe.loss == before.recipe.loss
            continue
        frame = preset.recipe.augment.frame_hw
        assert frame == (preset.model.preprocess.frame_hw if recipe_file.frame_px else None)
        if before.model.preprocess.frame_hw is not None:  # a network keeps its own frame
            assert preset.model.preprocess == before.model.preprocess
        smaller = scale_sizes(preset, preset.model.preprocess.short_px // 2)
        assert (smaller.recipe.augment.frame_hw is None) == (frame is None)


@pytest.mark.parametrize("name", recipe_names())
@pytest.mark.parametrize("frame", [None, [256, 256]])
def test_a_network_at_native_scale_keeps_its_crop_and_predicts_in_any_frame(name, frame):
    recipe_file = load_recipe(name)
    native = Preset.model_validate({
        "description": "",
        "model": {"preprocess": {"kind": "native"}, "decoder": SLOTS if recipe_file.decoder == "slots" else SEEDS},
        "recipe": {"augment": {"frame_hw": frame}},
    })  # fmt: skip
    preset = use_recipe(native, recipe_file)
    wanted = recipe_file.frame_px
    assert preset.model.preprocess == native.model.preprocess
    assert preset.recipe.augment.frame_hw == ((256, 256) if frame else wanted and (wanted, wanted))


def test_the_published_recipe_is_that_of_the_settings_defaults():
    assert use_recipe(load_preset("r50-giam"), load_recipe("published")).recipe == Recipe()


def test_fine_tuning_is_a_tenth_as_fast_as_training_afresh_and_keeps_the_kind_of_images():
    before = load_preset("nuclei")
    fresh, fine = (use_recipe(before, load_recipe(name)).recipe for name in ("small-data", "fine-tune"))
    assert fine.optim.lr == pytest.approx(fresh.optim.lr / 10)
    assert fine.optim.warmup == 0.1 * fine.iterations and fine.optim.warmup_factor < 0.01
    assert fine.augment.quarter_turns and fine.augment.vertical_flip == 0.5
    assert fine.max_dets == before.recipe.max_dets


def test_a_run_says_which_recipe_it_follows(tiny_data, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("description: two steps\nsettings: {iterations: 2, batch: 2, optim.warmup: 1}\n")
    console = Console(file=io.StringIO(), width=200)
    preset = apply_settings(tiny_preset(), {"optim.lr": 0.5})  # replaced with all of the preset's recipe
    train(
        tiny_data, preset, tmp_path / "run", recipe=path, init="random", size=64, batch=3, workers=0, device="cpu",
        console=console,
    )  # fmt: skip
    said = console.file.getvalue()
    assert "two steps" in said
    assert "  iterations: 2" in said
    recipe = load_preset(tmp_path / "run" / "config.yaml").recipe
    assert (recipe.iterations, recipe.batch, recipe.optim.lr) == (2, 3, Recipe().optim.lr)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("description: x\nsettings: {optim.lrr: 1}\n", "optim.lrr' is unknown"),
        ("description: x\nframe_px: 50\nsettings: {}\n", "multiple of 32"),
        ("settings: {}\n", "description"),
        ("{", "expected YAML"),
    ],
)
def test_a_wrong_recipe_is_an_input_error(text, said, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        use_recipe(tiny_preset(), load_recipe(path))


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(InputError, match="did you mean small-data"):
        load_recipe("smalldata")
