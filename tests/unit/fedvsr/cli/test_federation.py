"""Promises: a run that crashed is continued as often as asked, one that was ended with a reason isn't."""

import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedvsr.cli import federation as module
from fedvsr.cli.main import app
from fedvsr.run_config import parse_run_config
from server_app.config import compose
from server_app.written import overrides

ROOT = Path(__file__).parents[4]
COMPLETED = {"status": "finished:completed", "status-details": ""}
CRASHED = {"status": "finished:failed", "status-details": "No heartbeat received from the task"}
UNKNOWN = {"status": "finished:unknown", "status-details": "[code: 2] Run not found"}
STOPPED = {"status": "finished:stopped", "status-details": ""}
AT = "2026-11-27 10:00:00+0000"
STARTED = f"{AT}  run directory: /runs/with a blank/1\n"
REFUSED = f"{AT}  this run can't go on: 2 nodes must take part, 1 does\n"


RESUMED = overrides({"run.resume": "/runs/with a blank/1"})


@pytest.fixture
def runs(monkeypatch):
    """Plays what becomes of each submitted run; returns the run-configs and a command that submits."""
    submitted, federations = [], []

    def play(*outcomes, resumes=2, words=("-c", 'strategy="fedavg"'), checked=None):
        submitted.clear()
        federations.clear()
        left = iter(outcomes)

        def follow(run_id, superlink, hear):
            log, status = next(left)
            for line in log:
                hear(line)
            return status

        def submit(folder, *, run_config, federation_config, **_):
            submitted.append(run_config)
            federations.append(federation_config)
            return str(len(submitted))

        monkeypatch.setattr(module, "check_run_config", lambda app, words: checked or {})
        monkeypatch.setattr(module.engine, "submit", submit)
        monkeypatch.setattr(module.engine, "follow", follow)
        done = CliRunner().invoke(app, ["run", ".", "federation", "--resumes", str(resumes), *words])
        done.federations = federations
        return done, [parse_run_config(one) for one in submitted]

    return play


def test_a_run_that_completes(runs):
    done, submitted = runs(([STARTED], COMPLETED))
    assert (done.exit_code, len(submitted)) == (0, 1)
    assert done.output == f"run 1 is submitted\n{STARTED}run 1: finished:completed\n"


@pytest.mark.parametrize("crash", [CRASHED, UNKNOWN], ids=["server", "database"])
def test_a_run_that_crashed_is_continued_from_its_directory(runs, crash):
    done, submitted = runs(([STARTED], crash), ([STARTED], crash), ([STARTED], COMPLETED))
    assert done.exit_code == 0
    assert submitted == [
        {"strategy": "fedavg"},
        {"overrides": RESUMED},
        {"overrides": RESUMED},
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
    ("outcome", "status", "last"),
    [
        (([STARTED, REFUSED], CRASHED), 1, "run 1: finished:failed: 2 nodes must take part, 1 does"),
        (([STARTED], STOPPED), 3, "run 1: finished:stopped: it gave no reason"),
    ],
    ids=["with a reason", "by a person"],
)
def test_one_that_was_ended_stays_ended(runs, outcome, status, last):
    done, submitted = runs(outcome)
    assert (done.exit_code, len(submitted)) == (status, 1)
    assert done.output.splitlines()[-2:] == ["go on: fedvsr run --resume '/runs/with a blank/1'", last]


def test_the_last_line_has_the_first_cause(runs):
    said = [
        "Traceback (most recent call last):\n",
        "  File x\n",
        "RuntimeError: no room\n",
        "ValueError: later\n",
    ]
    done, _ = runs(([STARTED, *said], CRASHED), resumes=0)
    assert done.output.splitlines()[-1] == "run 1: finished:failed: RuntimeError: no room"


def test_paths_need_no_quotation(runs, tmp_path):
    folder = tmp_path / "it's a=b, ~(c) #\"ü"
    words = ["--data", folder, "--output", folder / "out", "-c", 'overrides="seed=1"']
    _, [submitted] = runs(([STARTED], COMPLETED), words=list(map(str, words)))
    given = overrides({"data.folder": str(folder), "run.root": str(folder / "out")}, "seed=1")
    assert submitted == {"data": "videos", "overrides": given}


def test_a_resumed_simulation_has_its_clients(runs):
    done, _ = runs(([STARTED], COMPLETED), checked={"clients": 7})
    assert done.federations == ["num-supernodes=7 "]
    for words in (["--clients", "5"], ["--federation-config", "num-supernodes=5"]):
        done, _ = runs(([STARTED], COMPLETED), checked={"clients": 7}, words=words)
        assert [size.strip() for size in done.federations] == ["num-supernodes=5"]


def test_what_is_wrong_costs_no_submission(runs, monkeypatch):
    done, submitted = runs(words=["--clients", "0"])
    assert (done.exit_code, submitted) == (2, [])
    done, submitted = runs(words=["--detach"])
    assert (done.exit_code, submitted) == (2, [])


def test_what_a_site_says_decides_nothing(runs):
    said = [
        f"{AT}  round 1/8: left out the reply of site-1 (error): run directory: /runs/other\n",
        f"{AT}  round 1/8: left out the reply of site-1 (error): this run can't go on: x\n",
    ]
    done, submitted = runs(([STARTED, *said], CRASHED), ([STARTED], COMPLETED))
    assert done.exit_code == 0
    assert submitted[1] == {"overrides": RESUMED}


def test_names_and_settings_have_options_of_their_own(runs, monkeypatch, tmp_path):
    words = ["--strategy", "fedprox", "--model", "basicvsr_small", "--data", "reds", "--experiment", "smoke"]
    words += ["--set", "rounds=20", "--set", "data.folder='/a b'", "-c", 'strategy="x" overrides="seed=1"']
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "reds.yaml").touch()
    (tmp_path / "reds").mkdir()
    monkeypatch.chdir(tmp_path)
    _, [submitted] = runs(([STARTED], COMPLETED), words=words)
    names = {"strategy": "fedprox", "model": "basicvsr_small", "data": "reds", "experiment": "smoke"}
    assert {key: submitted[key] for key in names} == names
    assert shlex.split(submitted["overrides"]) == ["seed=1", "rounds=20", "data.folder='/a b'"]
    _, [submitted] = runs(([STARTED], COMPLETED), words=["--data", "./reds"])
    assert submitted == {"data": "videos", "overrides": overrides({"data.folder": str(tmp_path / "reds")})}


def test_the_command_as_it_was_typed(runs, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/bin/fedvsr", "run", "-c", """overrides="data.folder='/a ${b}'" """])
    _, [submitted] = runs(([STARTED], COMPLETED), words=[])
    settings = compose(submitted)
    assert shlex.split(settings.run.command) == ["fedvsr", *sys.argv[1:]]


def test_chatter_is_kept_from_the_screen_and_in_the_log(runs, monkeypatch, tmp_path):
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    ours = f"(ClientAppActor pid=7) {AT}  left out: clip 'a'\n"
    log = [STARTED, "INFO :      Starting Flower\n", "(raylet) says\n", ours]
    done, _ = runs((log, COMPLETED), words=[])
    assert [line for line in log if line in done.output] == [STARTED, ours]
    assert (tmp_path / "fedvsr-logs" / "1.log").read_text() == "".join(log)
    done, _ = runs((log, COMPLETED), words=["--verbose"])
    assert "".join(log) in done.output


def test_a_simulation_that_does_not_start_in_time_is_tried_once_more(runs):
    late = ["Exception: The current node timed out during startup. This could happen because\n"]
    sentence = (
        "the simulation didn't start in its 30 s: the machine is too busy; run again when it is less so"
    )
    done, submitted = runs((late, CRASHED), ([STARTED], COMPLETED), resumes=0, words=[])
    assert (done.exit_code, len(submitted)) == (0, 2)
    assert f"run 1: finished:failed: {sentence}; tried once more now\n" in done.output
    done, submitted = runs((late, CRASHED), (late, CRASHED), resumes=0, words=[])
    assert (done.exit_code, len(submitted)) == (1, 2)
    assert done.output.splitlines()[-1] == f"run 2: finished:failed: {sentence}"


@pytest.mark.parametrize(
    ("data", "hint"), [("sampel", "; did you mean 'sample'?"), ("./sampel", ""), ("no/videos", "")]
)
def test_data_that_is_neither_a_name_nor_a_folder(data, hint, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "check_run_config", lambda app, words: pytest.fail("it was refused too late"))
    monkeypatch.setattr(module, "app_folder", lambda: ROOT)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["run", "--data", data])
    assert done.exit_code == 2
    assert done.output == f"Error: there is no folder '{tmp_path / data}' to train on{hint}\n"
