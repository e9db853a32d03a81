"""Promises: on a terminal one line says which round it is, how many have replied, and what is left."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from fedvsr import run_display
from fedvsr.run_display import Display, displayed, whole_log

AT = "2026-11-27 10:00:00+0000"


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=200)


def test_round_clients_and_time_left(terminal, tmp_path, monkeypatch):
    clock = iter((0.0, 0.0, 300.0, 300.0, 300.0))
    monkeypatch.setattr(run_display.time, "monotonic", lambda: next(clock))
    columns = TextColumn("{task.description}")
    progress = Progress(columns, console=terminal, auto_refresh=False, get_time=lambda: 0.0)
    display = Display(tmp_path / "log", verbose=False, progress=progress)

    def at():
        [task] = progress.tasks
        return task.description, task.completed, task.fields["left"]

    display.show(f"{AT}  round 0/8: held-out PSNR-Y 27.615 dB, +0.000 against bicubic (4.7 s)\n")
    assert at() == ("round 0 of 8", 0, "")
    display.show(f"{AT}  round 1/8: site-1 trained 30 steps in 6 s, loss 0.05 (1 of 2)\n")
    assert at() == ("round 1 of 8, client 1 of 2", 0.5, "")
    display.show(f"{AT}  round 2/8: held-out PSNR-Y 27.7 dB\n")  # 300 s for two rounds: six take 900 s
    assert at() == ("round 2 of 8", 2, "15 min left")
    display.show(f"{AT}  round 3/8: site-1 trained 30 steps in 6 s, loss 0.05 (2 of 2)\n")
    assert at() == ("round 3 of 8, client 2 of 2", 3, "15 min left")
    progress.stop()
    assert "site-1 trained 30 steps" in terminal.file.getvalue()


def test_hours_are_told_as_hours():
    assert [run_display._duration(seconds) for seconds in (3, 3540, 7500)] == ["1 min", "59 min", "2 h 5 min"]


def test_the_newest_logs_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    for number in range(25):
        with displayed(str(number), verbose=False) as show:
            show("a line\n")
    assert whole_log("24").read_text() == "a line\n"
    assert len(list(whole_log("0").parent.iterdir())) == 20


def test_a_log_that_cannot_be_kept_ends_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "file"))
    with displayed("1", verbose=True) as show:
        show("a line\n")
    assert capsys.readouterr().out == "a line\n"
