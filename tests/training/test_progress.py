import io

import pytest
from rich.console import Console

from sparseinst.training.progress import Display, TimeLeft


def test_time_left_counts_the_evaluations_to_come():
    left = TimeLeft(100, 40)  # evaluations after 40, 80 and at the end
    assert left.seconds(0) is None
    left.step(2.0)
    left.step(4.0)
    assert left.seconds(10) == pytest.approx(90 * 3)
    left.evaluation(10.0)
    assert left.seconds(40) == pytest.approx(60 * 3 + 2 * 10)
    assert left.seconds(90) == pytest.approx(10 * 3 + 10)
    assert left.seconds(100) == 0
    assert left.steps_per_s() == pytest.approx(1 / 3)


def test_display_tells_losses_speed_and_time_left():
    console = Console(file=io.StringIO(), width=200)
    with Display(console, iterations=10, start=0) as display:
        display.step(4, {"loss_ce": 1.0, "loss_dice": 0.5}, 12.34, 75.0, row=False)
        display.step(5, {"loss_ce": 1.0, "loss_dice": 0.5}, 12.34, 75.0, row=True)
    lines = console.file.getvalue().splitlines()
    assert [line for line in lines if line.startswith("5/10 loss 1.500 ce 1.000 dice 0.500")]
    assert [line for line in lines if "12.3 images/s" in line and "time left 1:15" in line]
    assert not [line for line in lines if line.startswith("4/10")]


def test_display_is_silent_without_a_console(capsys):
    with Display(None, iterations=10, start=0) as display:
        display.step(5, {"loss_ce": 1.0}, 1.0, None, row=True)
        display.say("something")
        display.doing("something")
    assert capsys.readouterr() == ("", "")
