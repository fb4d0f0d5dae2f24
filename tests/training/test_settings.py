import pytest
from pydantic import ValidationError

from sparseinst.config.model import ModelConfig
from sparseinst.errors import InputError
from sparseinst.recipe import Preset, Published
from sparseinst.training.settings import apply_settings, parse_assignments, scale_sizes, setting_names
from sparseinst.zoo.names import load_preset

NATIVE = Preset.model_validate({"description": "micrographs", "model": {"preprocess": {"kind": "native"}}})
SEEDS = Preset.model_validate({"description": "seeds", "model": {"decoder": {"kind": "seeds"}}})
BASE = Preset.model_validate({"description": "base", "model": {}, "published": {"ap_val": 33.0}})


def test_text_is_read_as_the_type_of_the_setting():
    changed = apply_settings(
        BASE,
        {
            "optim.lr": "1e-4",
            "recipe.augment.short_px": "[416, 448]",
            "augment.quarter_turns": "true",
            "optim.clip_norm": "null",
            "decoder.slots": "300",
            "preprocess.intensity.mode": "range",
            "batch": 8,
        },
    )
    assert changed.recipe.optim.lr == 1e-4
    assert changed.recipe.augment.short_px == (416, 448)
    assert changed.recipe.augment.quarter_turns is True
    assert changed.recipe.optim.clip_norm is None
    assert changed.model.decoder.slots == 300
    assert changed.model.preprocess.intensity.mode == "range"
    assert changed.recipe.batch == 8


def test_published_figures_do_not_pass_to_a_changed_network():
    assert apply_settings(BASE, {}).published == Published()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"optim.lrr": 1}, "'optim.lrr' is unknown: did you mean optim.lr"),
        ({"slots": 1}, "did you mean decoder.slots"),
        ({"model.optim.lr": 1}, "'model.optim.lr' is unknown"),
        ({"optim": 1}, "'optim' is a group: set one of optim.lr"),
        ({"zzzzz": 1}, "known settings begin with "),
        ({"optim.lr": "-1"}, "setting optim.lr: Input should be greater than 0, got -1"),
        ({"augment.short_px": "416"}, r"setting augment.short_px: .*got 416: write lists as \[416, 448\]"),
        ({"augment.short_px": "[416"}, r"expected YAML.*write lists as \[416, 448\]"),
        ({"augment.jitter": "[0.5, 2]"}, "setting augment: augment.jitter needs augment.frame_hw"),
        ({"optim.lr": "0", "optim.ema": "2"}, "optim.lr.*; setting optim.ema"),
        ({"preprocess.short_px": "0"}, "setting preprocess.short_px: Input should be greater than 0, got 0"),
        ({"preprocess.scale": "2"}, "preprocess is of kind 'short_side': .*preprocess.short_px"),
        ({"preprocess.kind": "native"}, "'preprocess.kind' comes with the network: choose another"),
        ({"model.preprocess.kind": "native"}, "comes with the network"),
    ],
)
def test_a_wrong_setting_is_one_clear_message(settings, said):
    with pytest.raises(InputError, match=said):
        apply_settings(BASE, settings)


def test_every_setting_can_be_named_on_a_network_that_has_it():
    for name, path in setting_names().items():
        bases = [base for base in (BASE, NATIVE, SEEDS) if _has(base, path)]
        assert bases, name
        for base in bases:
            assert apply_settings(base, {name: _value(base, path)}).model == base.model


def _value(base, path):
    place = base
    for part in path:
        place = getattr(place, part)
    return place


def _has(base, path):
    *groups, leaf = path
    return leaf in type(_value(base, groups)).model_fields


def test_settings_of_the_native_kind():
    changed = apply_settings(NATIVE, {"preprocess.scale": "0.5", "preprocess.diameter_px": "12.5"})
    assert (changed.model.preprocess.scale, changed.model.preprocess.diameter_px) == (0.5, 12.5)
    with pytest.raises(InputError, match=r"preprocess is of kind 'native': .*preprocess.scale"):
        apply_settings(NATIVE, {"preprocess.short_px": "320"})
    with pytest.raises(InputError, match=r"setting preprocess.scale: Input should be greater than 0, got -1"):
        apply_settings(NATIVE, {"preprocess.scale": "-1"})


def test_the_kind_is_one_of_those_known_and_absent_in_old_files():
    assert Preset.model_validate({"description": "", "model": {"preprocess": {}}}).model == BASE.model
    assert ModelConfig.model_validate_json(NATIVE.model.model_dump_json()) == NATIVE.model
    with pytest.raises(ValidationError, match="kind must be short_side or native"):
        ModelConfig.model_validate({"preprocess": {"kind": "zoom"}})


def test_size_at_native_scale_is_the_side_of_the_training_crop():
    scaled = scale_sizes(NATIVE, 250)
    assert scaled.recipe.augment.frame_hw == (256, 256)
    assert scaled.model == NATIVE.model
    assert scale_sizes(scaled, 256) == scaled


def test_assignments():
    assert parse_assignments(["a.b = 1", "c=x=y"]) == {"a.b": "1", "c": "x=y"}
    with pytest.raises(InputError, match="key=value"):
        parse_assignments(["a.b"])


def test_size_scales_every_size_and_keeps_frames_multiples_of_32():
    scaled = scale_sizes(apply_settings(BASE, {"augment.frame_hw": [640, 864]}), 320)
    assert (scaled.model.preprocess.short_px, scaled.model.preprocess.long_px) == (320, 432)
    assert scaled.recipe.augment.short_px == (208, 224, 240, 256, 272, 288, 304, 320)
    assert scaled.recipe.augment.frame_hw == (320, 448)
    assert scaled.recipe.augment.crop_px == (192, 300)
    assert scale_sizes(BASE, 640) == BASE
    with pytest.raises(InputError, match="size"):
        scale_sizes(BASE, 0)


def test_published_preset_takes_settings():
    assert apply_settings(load_preset("r50-giam"), {"optim.ema": "0.99"}).recipe.optim.ema == 0.99


def test_iterations_replace_epochs():
    by_epochs = apply_settings(BASE, {"epochs": 2})
    assert by_epochs.recipe.epochs == 2
    assert apply_settings(by_epochs, {"recipe.iterations": "5"}).recipe.epochs is None
    assert apply_settings(by_epochs, {"batch": 3}).recipe.epochs == 2
