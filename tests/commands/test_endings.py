"""Promises: however the command ends, it says so by its status, and nothing of its run keeps running."""

import os
import pty
import signal
import subprocess
import time

import pytest

from fedvsr.runs import state_of
from server_app.records.history import outcome
from server_app.records.journal import read_journal
from tests.commands.shell import LIMIT_S, Shell


@pytest.fixture
def shell(tmp_path):
    shell = Shell(tmp_path)
    yield shell
    shell.close()


def ends(process, shell, run, status, why):
    """Check how a command has ended, and what is left of its run."""
    said = process.communicate(timeout=LIMIT_S)[0]
    assert process.returncode == status, said
    assert shell.left() == []
    assert outcome(read_journal(run.journal)) == why
    assert (state_of(run).state, state_of(run).resumable) == ("stopped", True)
    return said


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGXCPU"])
def test_a_signal(shell, name):
    number = signal.Signals[name]
    process, run = shell.running()
    process.send_signal(number)
    said = ends(process, shell, run, 128 + number, f"stopped by {name}")
    assert said.endswith(f"go on: fedvsr run --resume {run.path}\nrun 1: stopped by {name}\n")
    assert "\x1b" not in said


def test_ctrl_c_twice(shell):
    process, run = shell.running()
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    ends(process, shell, run, 130, "stopped by SIGINT")


def test_a_reader_that_has_heard_enough(shell):
    process, run = shell.running()
    process.stdout.close()
    assert process.wait(LIMIT_S) == 128 + signal.SIGPIPE
    assert shell.left() == []
    assert outcome(read_journal(run.journal)) == "stopped by SIGPIPE"


def test_a_terminal_that_is_closed(shell):
    ours, theirs = pty.openpty()
    process, run = shell.running(stdout=theirs)
    os.close(theirs)
    os.close(ours)
    assert process.wait(LIMIT_S) in (128 + signal.SIGHUP, 128 + signal.SIGPIPE)
    assert shell.left() == []
    assert outcome(read_journal(run.journal)).startswith("stopped by ")


def test_what_a_script_or_nohup_ignores_stays_ignored(shell):
    process, run = shell.running(ignored=(signal.SIGINT, signal.SIGHUP))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    assert run.is_locked()
    process.terminate()
    ends(process, shell, run, 143, "stopped by SIGTERM")


def test_a_run_that_is_left_to_itself_and_one_that_is_stopped_from_elsewhere(shell):
    status, said = shell.call("run", shell.app, "--detach")
    assert status == 0
    assert said.endswith("run 1: 'fedvsr runs' shows it, 'fedvsr stop 1' ends it\n")
    shell.wait_for(shell.directories)
    beside, run = shell.running()
    detached = next(iter(shell.directories() - {run.path}))

    assert shell.call("stop", run.path) == (0, f"stopped '{run.path}'\n")
    said = beside.communicate(timeout=LIMIT_S)[0]
    assert beside.returncode == 3
    assert said.endswith("run 2: finished:stopped: it gave no reason\n")
    assert len(shell.left()) > 1  # the other one goes on

    assert shell.call("stop", "1") == (0, "stopped run 1\n")
    assert shell.left() == []
    for path in (run.path, detached):
        assert outcome(read_journal(path / "journal.jsonl")) == "stopped by 'fedvsr stop'"
    status, said = shell.call("stop", run.path)
    assert status == 1
    assert "isn't running; 'fedvsr runs' says what has become of it" in " ".join(
        said.replace("│", " ").split()
    )


def test_a_run_that_completes_leaves_the_engine_for_the_next_one(shell):
    process, run = shell.running()
    (run.path.parent / "let-go").touch()
    said = process.communicate(timeout=LIMIT_S)[0]
    assert process.returncode == 0, said
    assert said.endswith("run 1: finished:completed\n")
    assert len(shell.left()) == 1
    status, said = shell.call("stop")
    assert status == 0
    assert said.startswith("stopped the engine (process ")
    assert shell.left() == []
