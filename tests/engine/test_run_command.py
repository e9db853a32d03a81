"""Promises: a run that is killed with its command goes on, with more rounds, to the same bytes."""

import signal

import pytest

from fedvsr.runs import state_of
from server_app.checkpoints import LAST, load_round
from server_app.records.history import starts
from server_app.records.journal import read_journal
from server_app.records.run_dir import RunDir
from tests.commands.shell import LIMIT_S, REPOSITORY, Shell

TINY = "training.batch=2 data.frames=8 data.height=16 data.width=16 data.held_out_clips=2"
ONE_WORKER = ("--federation-config", "client-resources-num-cpus=1 init-args-num-cpus=1")


def asked(rounds):
    return ["-c", f'experiment="smoke" strategy="fedavg" overrides="rounds={rounds} {TINY}"', *ONE_WORKER]


@pytest.mark.long
def test_killed_and_resumed_with_more_rounds_below_an_odd_folder(tmp_path):
    shell = Shell(tmp_path / "müller's = (a), #1", module="fedvsr.cli.main")
    shell.environment |= {"FLWR_TELEMETRY_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    try:
        process, run = shell.running(*asked(8), app=REPOSITORY)
        last = run.checkpoints / LAST
        shell.wait_for(lambda: last.exists() and load_round(last).round == 1, process)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=LIMIT_S)[0]
        assert process.returncode == 143, said
        assert shell.left() == []
        assert (state_of(run).state, state_of(run).resumable) == ("stopped", True)

        more = ["-c", 'overrides="rounds=9 evaluation.all_metrics=always"', *ONE_WORKER]
        status, said = shell.call("run", REPOSITORY, "--resume", run.path, *more)
        assert status == 0, said
        assert "rounds is 9 from here on, was 8" in said
        assert starts(read_journal(run.journal))[-1]["changes"]["rounds"] == [8, 9]

        status, said = shell.call("run", REPOSITORY, *asked(9))
        assert status == 0, said
        [whole] = [RunDir(path) for path in shell.directories() if path != run.path]
        assert last.read_bytes() == (whole.checkpoints / LAST).read_bytes()
    finally:
        shell.close()
