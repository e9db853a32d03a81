"""Promises: trials start, continue and end as their journals say; a folder keeps its plan."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from fedvsr.comparison.entries import Entry, entries_of
from fedvsr.comparison.trials import Plan, Trial, completed, trials_of
from fedvsr.run_config import parse_run_config
from fedvsr_core.errors import ConfigurationError
from server_app.config import compose


@pytest.fixture
def plan():
    return Plan(("fedvsr", "fedavg"), (0, 3), {"experiment": "smoke", "model": ""}, "rounds=5", 4, "")


def entries(plan):
    return entries_of(
        plan.strategies,
        plan.variants,
        plan.clients,
        lambda entry: compose(Trial(entry, 0, Path("/x")).words(plan)),
    )


def all_of(plan, folder):
    return list(trials_of(entries(plan), plan.seeds, folder))


def lead(trial, *lines, stamp="1"):
    folder = trial.root / stamp
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


TRAINED, ENDED = {"phase": "train", "round": 2}, {"phase": "end", "outcome": "completed"}


def test_seed_by_seed(plan, tmp_path):
    trials = all_of(plan, tmp_path)
    assert [(trial.entry.strategy, trial.seed) for trial in trials] == [
        ("fedvsr", 0), ("fedavg", 0), ("fedvsr", 3), ("fedavg", 3),
    ]  # fmt: skip
    assert len({trial.root for trial in trials}) == 4
    assert plan.reference == "fedavg"


def test_a_trial_starts_then_continues(plan, tmp_path):
    trial = all_of(plan, tmp_path / "a b")[3]
    words = parse_run_config(trial.run_config(plan))
    assert words["strategy"] == "fedavg"
    assert words["experiment"] == "smoke"
    assert "model" not in words
    assert shlex.split(words["overrides"]) == ["seed=3", f"run.root='{trial.root}'", "rounds=5"]
    assert (trial.outcome, trial.rounds) == ("not at its end", 0)
    folder = lead(trial, TRAINED)
    assert (trial.outcome, trial.rounds) == ("not at its end", 2)
    words = parse_run_config(trial.run_config(plan))
    assert shlex.split(words["overrides"]) == [f"run.resume='{folder}'"]


def test_completed_trials_by_strategy(plan, tmp_path):
    trials = all_of(plan, tmp_path)
    for trial in (trials[3], trials[1], trials[2]):
        lead(trial, TRAINED, ENDED)
    lead(trials[0], {"phase": "end", "outcome": "it broke"})
    assert trials[0].outcome == "it broke"
    assert {entry.name: list(seeds) for entry, seeds in completed(trials).items()} == {
        "fedvsr": [3],
        "fedavg": [0, 3],
    }


def claim(plan, folder, overrides=""):
    plan.claim(
        folder,
        entries(plan),
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
    for trial in all_of(plan, tmp_path / "a b"):
        trial.check(compose(trial.words(plan)))
    other = replace(plan, overrides=override)
    trial = all_of(plan, tmp_path)[0]
    with pytest.raises(ConfigurationError, match=r"must leave strategy, seed, run\.root and run\.resume"):
        trial.check(compose(trial.words(other)))


def composed(plan, entry):
    return compose(Trial(entry, 0, Path("/x")).words(plan))


def test_centralised_training_has_as_many_steps_of_batches_as_large(plan):
    bounded = replace(plan, strategies=("fedavg", "centralised"), overrides="rounds=5 training.batch=3")
    fedavg, centralised = (composed(bounded, entry) for entry in entries(bounded))
    assert (fedavg.training.batch, centralised.training.batch) == (3, 12)
    assert (fedavg.training.steps, fedavg.rounds) == (centralised.training.steps, centralised.rounds)
    assert centralised.training.keep_moments
    assert (centralised.pool.clients, centralised.pool.parts) == (4, ())
    assert [entry.clients for entry in entries(bounded)] == [4, 1]
    drawn = replace(bounded, overrides="cohort.clients_per_round=2 training.batch=3 cohort.min_replies=2")
    settings = composed(drawn, entries(drawn)[1])
    assert (settings.training.batch, settings.cohort.clients_per_round) == (6, None)
    assert settings.cohort.min_replies == 1


def test_local_training_is_a_run_of_each_client_in_one_row(plan):
    local = entries(replace(plan, strategies=("local",), clients=3))
    assert [(entry.row, entry.name, entry.clients) for entry in local] == [
        ("local", "local 0", 1), ("local", "local 1", 1), ("local", "local 2", 1),
    ]  # fmt: skip
    assert [composed(plan, entry).pool.parts for entry in local] == [(0,), (1,), (2,)]
    assert all(entry.bound and entry.alone for entry in local)


def test_every_name_is_trained_with_every_variant(plan):
    several = replace(
        plan, strategies=("fedavg", "fedvsr", "centralised"), overrides="",
        variants=("rounds=4 training.steps=2", "rounds=2 training.steps=4"),
    )  # fmt: skip
    rows = [entry.row for entry in entries(several)]
    assert rows[:3] == [f"{name} (rounds=4 training.steps=2)" for name in several.strategies]
    assert len(set(rows)) == 6
    assert several.reference == "fedavg (rounds=4 training.steps=2)"
    budgets = {
        composed(several, entry).rounds * composed(several, entry).training.steps
        for entry in entries(several)
    }
    assert budgets == {8}
    roots = {trial.root.name for trial in all_of(several, Path("/x"))}
    assert "fedavg_rounds_4_training.steps_2-seed0" in roots
    assert len(roots) == 12


def test_the_reference_is_no_bound(plan):
    assert replace(plan, strategies=("centralised", "fedvsr")).reference == "fedvsr"


def test_an_entry_takes_overrides_after_those_of_all(plan):
    entry = Entry("fedavg", "fedavg", "fedavg", "", 4).with_override("rounds=7")
    assert composed(plan, entry).rounds == 7
