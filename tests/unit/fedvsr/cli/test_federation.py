"""Promises: a run that crashed is continued as often as asked, one that was ended with a reason isn't."""

import pytest
from typer.testing import CliRunner

from fedvsr.cli import federation as module
from fedvsr.cli.main import app
from fedvsr.run_config import parse_run_config

COMPLETED = {"status": "finished:completed", "status-details": ""}
CRASHED = {"status": "finished:failed", "status-details": "No heartbeat received from the task"}
UNKNOWN = {"status": "finished:unknown", "status-details": "[code: 2] Run not found"}
STOPPED = {"status": "finished:stopped", "status-details": ""}
STARTED = "10:00:00  run directory: /runs/with a blank/1\n"
REFUSED = "10:00:09  this run can't go on: 2 nodes must take part, 1 does\n"


@pytest.fixture
def runs(monkeypatch):
    """Plays what becomes of each submitted run; returns the run-configs and a command that submits."""
    submitted = []

    def play(*outcomes, resumes=2):
        left = iter(outcomes)

        def follow(run_id, superlink, hear):
            log, status = next(left)
            for line in log:
                hear(line)
            return status

        def submit(folder, *, run_config, **_):
            submitted.append(run_config)
            return str(len(submitted))

        monkeypatch.setattr(module.engine, "submit", submit)
        monkeypatch.setattr(module.engine, "follow", follow)
        words = ["run", ".", "federation", "-c", 'strategy="fedavg"', "--resumes", str(resumes)]
        done = CliRunner().invoke(app, words)
        return done, [parse_run_config(one) for one in submitted]

    return play


def test_a_run_that_completes(runs):
    done, submitted = runs(([STARTED], COMPLETED))
    assert (done.exit_code, len(submitted)) == (0, 1)
    assert done.output == f"{STARTED}run 1: finished:completed\n"


@pytest.mark.parametrize("crash", [CRASHED, UNKNOWN], ids=["server", "database"])
def test_a_run_that_crashed_is_continued_from_its_directory(runs, crash):
    done, submitted = runs(([STARTED], crash), ([STARTED], crash), ([STARTED], COMPLETED))
    assert done.exit_code == 0
    assert submitted == [
        {"strategy": "fedavg"},
        {"overrides": "'run.resume=/runs/with a blank/1'"},
        {"overrides": "'run.resume=/runs/with a blank/1'"},
    ]
    assert "run 2 crashed; it is continued, 2 of at most 2 times (/runs/with a blank/1)\n" in done.output


def test_one_that_crashed_before_it_had_a_directory_begins_anew(runs):
    done, submitted = runs(([], CRASHED), ([STARTED], COMPLETED))
    assert done.exit_code == 0
    assert submitted == [{"strategy": "fedavg"}] * 2


@pytest.mark.parametrize("resumes", [0, 2])
def test_at_most_so_often(runs, resumes):
    done, submitted = runs(*[([STARTED], CRASHED)] * 3, resumes=resumes)
    assert (done.exit_code, len(submitted)) == (1, 1 + resumes)


@pytest.mark.parametrize(
    "outcome", [([STARTED, REFUSED], CRASHED), ([STARTED], STOPPED)], ids=["with a reason", "by a person"]
)
def test_one_that_was_ended_stays_ended(runs, outcome):
    done, submitted = runs(outcome)
    assert (done.exit_code, len(submitted)) == (1, 1)


def test_what_a_site_says_decides_nothing(runs):
    said = [
        "10:00:01  round 1/8: left out the reply of site-1 (error): run directory: /runs/other\n",
        "10:00:02  round 1/8: left out the reply of site-1 (error): this run can't go on: x\n",
    ]
    done, submitted = runs(([STARTED, *said], CRASHED), ([STARTED], COMPLETED))
    assert done.exit_code == 0
    assert submitted[1] == {"overrides": "'run.resume=/runs/with a blank/1'"}
