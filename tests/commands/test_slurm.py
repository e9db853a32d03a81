"""Promises: a job that Slurm warns or preempts ends its run, is queued again, and continues the run."""

import os
import signal
import subprocess
import sys

import pytest

from server_app.records.history import outcome
from server_app.records.journal import read_journal
from tests.commands.shell import LIMIT_S, REPOSITORY, STAND_IN, Shell

SCRIPT = REPOSITORY / "deploy" / "slurm" / "simulation.sbatch"


@pytest.fixture
def shell(tmp_path):
    """A home, with programs that note how they are called."""
    shell = Shell(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, line in {
        "fedvsr": f'echo "fedvsr $*" >>"{tmp_path}/called"; exec "{sys.executable}" -m {STAND_IN} "$@"',
        "scontrol": f'echo "scontrol $*" >>"{tmp_path}/called"',
    }.items():
        (programs / name).write_text(f"#!/bin/bash\ncd '{REPOSITORY}'\n{line}\n")
        (programs / name).chmod(0o755)
    shell.environment |= {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_JOB_ID": "runs",
        "FEDVSR_JOBS": str(tmp_path),
        "FEDVSR_APP": str(shell.app),
        "TMPDIR": str(tmp_path),
    }
    yield shell
    shell.close()


def job(shell):
    return subprocess.Popen(
        ["bash", SCRIPT, "--clients", "3"],
        env=shell.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_a_job_that_is_warned_continues_in_its_next_life(shell):
    first = job(shell)
    shell.wait_for(shell.directories, first)
    first.send_signal(signal.SIGUSR1)
    said = first.communicate(timeout=LIMIT_S)[0]
    assert first.returncode == 138, said
    [run] = shell.directories()
    assert outcome(read_journal(run / "journal.jsonl")) == "stopped by SIGUSR1"

    second = job(shell)
    shell.wait_for(lambda: len(shell.directories()) > 1, second)
    second.terminate()
    assert second.wait(LIMIT_S) == 143
    assert (shell.folder / "called").read_text().splitlines() == [
        f"fedvsr run {shell.app} --clients 3",
        "fedvsr stop",
        "scontrol requeue runs",
        f"fedvsr run {shell.app} --resume {run}",
        "fedvsr stop",
        "scontrol requeue runs",
    ]
    assert list(shell.folder.glob("flower.*")) == []
