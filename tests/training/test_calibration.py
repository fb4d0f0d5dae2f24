"""A run laid over a time is that of the same settings without one."""

import io

import pytest
from rich.console import Console

from shapes import tiny_preset
from sparseinst.errors import InputError
from sparseinst.training.calibration import Length, Pace, laid_over, length_for
from sparseinst.training.logs import read_table
from sparseinst.training.trainer import train
from sparseinst.zoo.names import load_preset

MINUTES = 0.01


def test_the_measurement_leaves_no_trace(tiny_data, tmp_path) -> None:
    preset = tiny_preset(optim={"lr": 1e-3, "warmup": 1000, "ema": 0.9})
    console = Console(file=io.StringIO(), width=200)
    timed = train(tiny_data, preset, tmp_path / "a", init="random", minutes=MINUTES, device="cpu", console=console)
    recipe = load_preset(tmp_path / "a/config.yaml").recipe
    length = f"{recipe.iterations} iterations, evaluated every {recipe.evaluate_every}"
    assert "s a step" in console.file.getvalue() and length in console.file.getvalue()
    assert timed.iterations == recipe.iterations and recipe.optim.warmup == int(0.04 * recipe.iterations)
    plain = train(
        tiny_data, preset, tmp_path / "b", init="random", iterations=recipe.iterations, device="cpu",
        settings={"evaluate_every": recipe.evaluate_every, "optim.warmup": recipe.optim.warmup},
    )  # fmt: skip
    runs = [read_table(result.out / "metrics.csv") for result in (timed, plain)]
    for name in runs[0][0]:
        if name not in ("images_per_s", "seconds"):
            assert [row[name] for row in runs[0]] == [row[name] for row in runs[1]], name
    ours, theirs = timed.model.state_dict(), plain.model.state_dict()
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_resuming_measures_nothing(tiny_data, tmp_path) -> None:
    first, then = (Console(file=io.StringIO(), width=200) for _ in range(2))
    given = {"init": "random", "minutes": MINUTES, "device": "cpu", "settings": {"pictures": 0}}
    stopped = train(tiny_data, tiny_preset(), tmp_path / "a", max_minutes=0, console=first, **given)
    assert stopped.iterations == 1 and "s a step" in first.file.getvalue()
    length = load_preset(tmp_path / "a/config.yaml").recipe.iterations
    resumed = train(tiny_data, tiny_preset(), tmp_path / "a", resume=True, console=then, **given)
    assert resumed.iterations == length and "s a step" not in then.file.getvalue()


def test_what_the_user_sets_stays() -> None:
    preset = tiny_preset(optim={"warmup": 10}, evaluate_every=7)
    length = Length(100, 13)
    recipe = laid_over(preset, length, {"optim.warmup": 10, "recipe.evaluate_every": 7}).recipe
    assert (recipe.iterations, recipe.evaluate_every, recipe.optim.warmup) == (100, 7, 10)
    assert laid_over(preset, length, {}).recipe.optim.warmup == 4


@pytest.mark.parametrize(
    ("pace", "seconds", "expected"),
    [
        (Pace(1.0, 0.0), 80, Length(80, 10)),  # nothing to evaluate on: as often as otherwise, for the checkpoints
        (Pace(1.0, 1000.0), 80, Length(1, 1)),
        (Pace(1.0, 0.5), 3, Length(2, 2)),
    ],
)
def test_lengths(pace, seconds, expected) -> None:
    assert length_for(pace, seconds) == expected


@pytest.mark.parametrize(
    "given", [{"minutes": 1, "epochs": 1.0}, {"minutes": 1, "settings": {"recipe.iterations": 3}}, {"minutes": 0}]
)
def test_minutes_alone_say_how_long(tiny_data, tmp_path, given) -> None:
    with pytest.raises(InputError, match="expected"):
        train(tiny_data, tiny_preset(), tmp_path / "run", init="random", device="cpu", **given)


def test_a_whole_network_is_recognised(tiny_data, tmp_path) -> None:
    first = train(tiny_data, tiny_preset(), tmp_path / "a", init="random", iterations=1, device="cpu")
    for recipe, said in ((None, True), (tmp_path / "r.yaml", False)):
        if recipe is not None:
            recipe.write_text("description: mine\nsettings: {iterations: 1, batch: 2}\n")
        console = Console(file=io.StringIO(), width=300)
        train(
            tiny_data, tiny_preset(), tmp_path / f"b{said}", init=first.weights, recipe=recipe, iterations=1, workers=0,
            size=64, device="cpu", console=console,
        )  # fmt: skip
        assert ("--recipe fine-tune" in console.file.getvalue()) == said
