import cv2

from sparseinst.training.logs import EVALUATIONS, RunLog, metric_columns, plot_curves, read_table

LOSSES = ("loss_ce", "loss_dice")
METRICS = metric_columns(LOSSES)


def row(iteration, columns=METRICS, value=0.1):
    return {"iteration": iteration, **dict.fromkeys(columns[1:], value)}


def test_rows_come_back_rounded(tmp_path):
    log = RunLog(tmp_path, LOSSES)
    log.on_row(row(1, value=1 / 3))
    log.on_evaluation(row(1, EVALUATIONS, 0.25), None)
    assert read_table(tmp_path / "metrics.csv")[0]["loss"] == 0.333333
    assert read_table(tmp_path / "evaluation.csv")[0]["ap50"] == 0.25
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    assert header == "iteration,epoch,lr,loss,loss_ce,loss_dice,surplus_targets,images_per_s,seconds"


def test_resuming_cuts_what_came_after_the_checkpoint(tmp_path):
    log = RunLog(tmp_path, LOSSES)
    for iteration in range(1, 6):
        log.on_row(row(iteration))
    log.on_evaluation(row(2, EVALUATIONS), None)
    log.on_evaluation(row(4, EVALUATIONS), None)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("6,0.5,0.")  # killed while writing
    RunLog(tmp_path, LOSSES, last_iteration=3).on_row(row(4, value=9.0))
    assert [(r["iteration"], r["loss"]) for r in read_table(tmp_path / "metrics.csv")] == [
        (1, 0.1), (2, 0.1), (3, 0.1), (4, 9.0),
    ]  # fmt: skip
    assert [r["iteration"] for r in read_table(tmp_path / "evaluation.csv")] == [2]


def test_a_new_run_starts_anew(tmp_path):
    for _ in range(2):
        RunLog(tmp_path, LOSSES).on_row(row(1))
    assert len(read_table(tmp_path / "metrics.csv")) == 1


def test_plot_of_a_run_and_of_nothing(tmp_path):
    plot_curves(tmp_path / "empty.png", [], [])
    plot_curves(tmp_path / "run.png", [row(i, value=3 / i) for i in (1, 2, 3)], [row(2, EVALUATIONS, -1.0)])
    empty, run = (cv2.imread(str(tmp_path / name)) for name in ("empty.png", "run.png"))
    assert empty.shape == run.shape
    assert (empty != run).any()


def test_the_plot_shows_every_loss_of_the_rows(tmp_path):
    rows = [row(i, value=3 / i) for i in (1, 2, 3)]
    plot_curves(tmp_path / "two.png", rows, [])
    plot_curves(tmp_path / "one.png", [{k: v for k, v in r.items() if k != "loss_dice"} for r in rows], [])
    two, one = (cv2.imread(str(tmp_path / name)) for name in ("two.png", "one.png"))
    assert (two != one).any()
