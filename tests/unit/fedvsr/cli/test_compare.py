"""Promises: every trial is run; a failed one ends the command with an error but not the others."""

import json
import shlex
from itertools import count

import pytest
from typer.testing import CliRunner

from fedvsr.cli import compare as module
from fedvsr.cli.main import app
from fedvsr.comparison import results
from fedvsr_core.errors import FederationError
from server_app.records.lock import locked
from tests.unit.fedvsr.comparison.test_tables import journal


class Engine:
    """Ends every run at once.

    Attributes:
        breaks: Strategies whose runs fail, and how often they still do.
        submitted: Run-configs, in their order.
        stopped: Runs that were stopped.
        away: Questions after a run's state that fail first.
    """

    def __init__(self, breaks):
        self.breaks = breaks
        self.submitted = []
        self.stopped = []
        self.asked = self.away = 0

    def submit(self, app, *, run_config, federation_config):
        words = dict(word.split("=", 1) for word in shlex.split(run_config))
        overrides = dict(word.split("=", 1) for word in shlex.split(words["overrides"]))
        self.submitted.append(words | overrides | {"federation": federation_config})
        if "run.resume" in overrides:
            folder = module.Path(overrides["run.resume"])
        else:
            folder = module.Path(overrides["run.root"]) / "run"
            folder.mkdir(parents=True)
        strategy = folder.parent.name.partition("-")[0]
        self.breaks[strategy] = self.breaks.get(strategy, 0) - 1
        outcome = "it broke" if self.breaks[strategy] >= 0 else "completed"
        start = {"phase": "start", "rounds": 2, "model": "m", "data": "d", "clients": 1, "device": "cpu",
                 "time": "now", "code": "c"}  # fmt: skip
        final = 28.0 + 100 * float(overrides.get("optimiser.lr", 0))
        lines = [
            start,
            *(journal(final) if outcome == "completed" else []),
            {"phase": "end", "outcome": outcome, "seconds": 1.0},
        ]
        for line in lines:
            for row in line["clients"] if line["phase"] == "train" else ():
                row |= {"examples": 1, "steps": 1, "batches": "b"}
        with (folder / "journal.jsonl").open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        return "7"

    def status(self, run_id, superlink):
        self.asked += 1
        if self.asked <= self.away:
            raise FederationError("the SuperLink must answer, but doesn't")
        return {"status": "finished:completed"}


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """Runs the command against an engine whose runs of some strategies fail once."""
    monkeypatch.setattr(results, "_crops", lambda trials: {})
    monkeypatch.setattr(results, "draw_rows", lambda rows, path: path.write_bytes(b"crops"))

    def run(*words, breaks=(), away=0):
        engine = Engine(dict.fromkeys(breaks, 1))
        engine.away = away
        monkeypatch.setattr(module.engine, "submit", engine.submit)
        monkeypatch.setattr(module.engine, "status", engine.status)
        monkeypatch.setattr(module, "end_run", lambda run_id, *_: engine.stopped.append(run_id))
        monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
        command = ["compare", "--output", str(tmp_path / "out"), "--experiment", "smoke", *words]
        return CliRunner().invoke(app, command), engine, tmp_path / "out"

    return run


def test_every_trial_is_run_once(compare):
    words = ["--strategies", "fedavg,fedvsr", "--seeds", "0,1"]
    result, engine, folder = compare(*words)
    assert result.exit_code == 0, result.output
    assert [(one["strategy"], one["seed"]) for one in engine.submitted] == [
        ("fedavg", "0"), ("fedvsr", "0"), ("fedavg", "1"), ("fedvsr", "1"),
    ]  # fmt: skip
    assert "| fedvsr | 2 | 28.000 ± 0.000 | +0.000 [+0.000, +0.000] |" in (folder / "README.md").read_text()
    assert "**" not in (folder / "scores.md").read_text()  # equals have no best
    again, engine, _ = compare(*words)
    assert (again.exit_code, engine.submitted) == (0, [])


def test_bounds_are_trained_by_one_client(compare):
    result, engine, folder = compare(
        "--strategies", "fedavg,centralised,local", "--seeds", "0", "--clients", "2"
    )
    assert result.exit_code == 0, result.output
    assert [one["federation"].split()[0] for one in engine.submitted] == [
        "num-supernodes=2", "num-supernodes=1", "num-supernodes=1", "num-supernodes=1",
    ]  # fmt: skip
    page = (folder / "README.md").read_text()
    assert "| local, worst | 1 | 28.000 | +0.000 |" in page
    assert "*centralised* is one client with all clips" in page
    assert "fedavg,centralised,local" in page
    assert "| fedavg | 2 (" not in page  # what a round costs is told of strategies alone


def test_tuned_strategies_enter_with_their_best_value(compare):
    words = ["--strategies", "fedavg,fedvsr", "--seeds", "0", "--tune", "optimiser.lr=1e-3,2e-3"]
    result, engine, folder = compare(*words)
    assert result.exit_code == 0, result.output
    assert [(one["seed"], one["optimiser.lr"]) for one in engine.submitted] == [
        *[(seed, lr) for seed in ("100", "101") for _ in range(2) for lr in ("1e-3", "2e-3")],
        ("0", "2e-3"), ("0", "2e-3"),
    ]  # fmt: skip
    page = (folder / "README.md").read_text()
    assert "| fedavg | 28.100 ± 0.000 | **28.200 ± 0.000** |" in page
    assert "| tuning | 8 runs, 8 s |" in page
    assert "--tune optimiser.lr=1e-3,2e-3" in page
    again, engine, _ = compare(*words)
    assert (again.exit_code, engine.submitted) == (0, [])


def test_a_failed_trial_is_told_and_redone(compare):
    words = ["--strategies", "fedavg,fedprox,fedvsr", "--seeds", "0"]
    result, engine, folder = compare(*words, breaks=["fedprox"])
    assert result.exit_code == 1
    assert "failed: fedprox, seed 0: it broke" in result.output
    assert len(engine.submitted) == 3
    assert "| left out | fedprox, seed 0 |" in (folder / "README.md").read_text()
    again, engine, _ = compare(*words)
    assert again.exit_code == 0
    assert [one["run.resume"] for one in engine.submitted] == [
        str(folder / "trials" / "fedprox-seed0" / "run")
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--strategies", "fedavg,fedpro"], "there is no strategy 'fedpro'; did you mean 'fedprox'?"),
        (["--strategies", ","], "--strategies must name at least one"),
        (
            ["--strategies", "fedavg", "--seeds", "0,x"],
            "must be whole numbers such as 0,1,2, got '0,x'",
        ),
        (
            ["--strategies", "fedavg", "--overrides", "rund=3"],
            "there is no key 'rund'; did you mean 'run'?",
        ),
        (["--strategies", "fedavg", "--overrides", "seed=3"], "must leave strategy, seed"),
        (
            ["--strategies", "centralised,local"],
            "--strategies must name a strategy beside centralised",
        ),
        (["--strategies", "fedavg", "--tune", "optimiser.lr=1"], "--tune must be a key and two values"),
        (["--strategies", "fedavg", "--tune", "optimiser.lf=1,2"], "there is no key 'optimiser.lf'"),
        (["--strategies", "fedavg", "--variants", "rounds=2; seed=4"], "must leave strategy, seed"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_wrong_is_refused_before_anything_starts(compare, words, sentence):
    result, engine, _ = compare(*words)
    assert result.exit_code == 1
    assert sentence in " ".join(result.output.replace("│", " ").split())
    assert engine.submitted == []


def test_one_comparison_at_a_time_writes_in_a_folder(compare, tmp_path):
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out"):
        result, engine, _ = compare("--strategies", "fedavg", "--seeds", "0")
    assert result.exit_code == 1
    assert "is being written by process" in " ".join(result.output.replace("│", " ").split())
    assert engine.submitted == []


def test_a_superlink_that_is_away_for_a_while_ends_no_trial(compare):
    result, engine, _ = compare("--strategies", "fedavg,fedvsr", "--seeds", "0", away=3)
    assert result.exit_code == 0, result.output
    assert (len(engine.submitted), engine.stopped) == (2, [])


def test_a_superlink_that_does_not_come_back_leaves_no_run_beside_the_next(compare, monkeypatch):
    class Hours:
        monotonic = count(step=3600).__next__

    monkeypatch.setattr(module.engine, "time", Hours)
    result, engine, _ = compare("--strategies", "fedavg,fedvsr", "--seeds", "0", away=1)
    assert result.exit_code == 0, result.output  # its journal says that it completed
    assert (len(engine.submitted), engine.stopped) == (2, ["7"])
