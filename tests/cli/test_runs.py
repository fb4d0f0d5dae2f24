def test_runs_are_listed_and_drawn(cli, tiny_data, preset, tmp_path) -> None:
    out = tmp_path / "runs" / "my run"
    common = ("--data", tiny_data, "--model", preset, "--init", "random", "--device", "cpu", "--workers", 0)
    assert cli("train", *common, "--out", out, "--log", "none").exit_code == 0
    result = cli("runs", out.parent)
    assert result.exit_code == 0, result.stderr
    assert "my run" in result.stdout and "2 of 2" in result.stdout
    assert "<svg" in (out.parent / "index.html").read_text()
    missing = cli("runs", tmp_path / "none")
    assert missing.exit_code == 2 and "expected a file or folder, found nothing" in missing.stderr
