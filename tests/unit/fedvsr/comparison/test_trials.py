"""Promises: trials start, continue and end as their journals say; a folder keeps its plan."""

import json
import shlex
from dataclasses import replace

import pytest

from fedvsr.comparison.trials import Plan, by_strategy, trials_of
from fedvsr_core.errors import ConfigurationError
from server_app.config import compose


@pytest.fixture
def plan():
    return Plan(("fedvsr", "fedavg"), (0, 3), {"experiment": "smoke", "model": ""}, "rounds=5", 4, "")


def lead(trial, *lines, stamp="1"):
    folder = trial.root / stamp
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


TRAINED, ENDED = {"phase": "train", "round": 2}, {"phase": "end", "outcome": "completed"}


def test_seed_by_seed(plan, tmp_path):
    trials = list(trials_of(plan, tmp_path))
    assert [(trial.strategy, trial.seed) for trial in trials] == [
        ("fedvsr", 0), ("fedavg", 0), ("fedvsr", 3), ("fedavg", 3),
    ]  # fmt: skip
    assert len({trial.root for trial in trials}) == 4
    assert plan.reference == "fedavg"


def test_a_trial_starts_then_continues(plan, tmp_path):
    trial = list(trials_of(plan, tmp_path / "a b"))[3]
    words = dict(word.split("=", 1) for word in shlex.split(trial.run_config(plan)))
    assert words["strategy"] == "fedavg"
    assert words["experiment"] == "smoke"
    assert "model" not in words
    assert shlex.split(words["overrides"]) == ["seed=3", f"run.root={trial.root}", "rounds=5"]
    assert (trial.outcome, trial.rounds) == ("not at its end", 0)
    folder = lead(trial, TRAINED)
    assert (trial.outcome, trial.rounds) == ("not at its end", 2)
    (word,) = shlex.split(trial.run_config(plan))
    assert shlex.split(word.removeprefix("overrides=")) == [f"run.resume={folder}"]


def test_completed_trials_by_strategy(plan, tmp_path):
    trials = list(trials_of(plan, tmp_path))
    for trial in (trials[3], trials[1], trials[2]):
        lead(trial, TRAINED, ENDED)
    lead(trials[0], {"phase": "end", "outcome": "it broke"})
    assert trials[0].outcome == "it broke"
    found = by_strategy(trials)
    assert {name: [trial.seed for trial in some] for name, some in found.items()} == {
        "fedvsr": [3],
        "fedavg": [0, 3],
    }


def claim(plan, folder, overrides=""):
    plan.claim(
        folder,
        lambda trial: compose(trial.words(replace(plan, overrides=f"{plan.overrides} {overrides}"))),
    )


def test_a_folder_keeps_its_plan_but_takes_more_strategies_and_seeds(plan, tmp_path):
    claim(plan, tmp_path)
    claim(replace(plan, strategies=("fedavg", "fedprox"), seeds=(9,)), tmp_path)
    claim(plan, tmp_path)
    with pytest.raises(ConfigurationError, match=r"holds a comparison with other overrides \('rounds=5'\)"):
        claim(replace(plan, overrides="rounds=6"), tmp_path)


def test_a_comparison_goes_on_with_the_configuration_it_began_with(plan, tmp_path):
    claim(plan, tmp_path)
    with pytest.raises(ConfigurationError, match="the configuration of fedvsr, fedavg has changed"):
        claim(plan, tmp_path, "optimiser.lr=1")  # as if a yaml had been edited


@pytest.mark.parametrize("override", ["seed=5", "strategy=fedprox", "run.root=/x", "run.resume=/x"])
def test_overrides_make_no_other_trial_of_a_trial(plan, tmp_path, override):
    for trial in trials_of(plan, tmp_path / "a b"):
        trial.check(compose(trial.words(plan)))
    other = replace(plan, overrides=override)
    trial = next(trials_of(other, tmp_path))
    with pytest.raises(ConfigurationError, match=r"must leave strategy, seed, run\.root and run\.resume"):
        trial.check(compose(trial.words(other)))
