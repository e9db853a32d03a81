"""Promises: a resumed run computes what it did; what may change is told, what may not is named alone."""

import pytest

from fedvsr_core.errors import ConfigurationError
from server_app.config import compose, save
from server_app.records.journal import Journal
from server_app.records.run_dir import RunDir
from server_app.resume import about_changes, changed_since, settings_of_run
from server_app.written import overrides


@pytest.fixture
def run(tmp_path):
    """A run of five rounds, two of which are done."""
    run = RunDir.create(str(tmp_path / "it's ${here} = a, 'run'"), ["x"])
    save(
        compose({"data": "synthetic", "strategy": "fedavg", "overrides": "seed=3 rounds=5 run.keep=9"}),
        run.config,
    )
    with Journal(run.journal) as journal:
        journal.append({"phase": "train", "round": 2, "clients": [], "refused": []})
    return run


def resumed(run, words="", **choices):
    return settings_of_run({**choices, "overrides": overrides({"run.resume": str(run.path)}, words)})


def test_a_new_run_changes_nothing():
    settings, changes = settings_of_run({"data": "synthetic"})
    assert (settings.names["data"], changes) == ("synthetic", {})


def test_it_keeps_its_configuration(run):
    settings, changes = resumed(run)
    assert (settings.seed, settings.rounds, settings.run.keep) == (3, 5, 9)
    assert (settings.names["strategy"], settings.names["data"]) == ("fedavg", "synthetic")
    assert settings.run.resume == str(run.path)
    assert changes == {}


def test_the_original_run_config_may_be_repeated(run):
    assert resumed(run, "seed=3 rounds=5", data="synthetic", strategy="fedavg")[1] == {}


def test_more_rounds_other_evaluation_and_what_is_kept(run):
    settings, changes = resumed(run, "rounds=8 evaluation.metrics=[vmaf] evaluation.every=3 run.keep=1")
    assert (settings.rounds, settings.evaluation.metrics, settings.run.keep) == (8, ("vmaf",), 1)
    assert changes == {
        "rounds": [5, 8],
        "evaluation.every": [2, 3],
        "evaluation.metrics": [[], ["vmaf"]],
        "run.keep": [9, 1],
    }
    told = list(about_changes(settings, changes))
    assert "evaluation.metrics is [vmaf] from here on, was []" in told
    assert told[-1] == (
        "what depends on the number of rounds, as schedules ('constant') and weights of some strategies"
        " ('fedavg') do, goes on as in a run of 8; the rounds before weren't trained so"
    )


@pytest.mark.parametrize(
    ("words", "choices", "named"),
    [
        ("seed=4 rounds=9", {"data": "synthetic"}, "seed is 3, not 4"),
        ("", {"strategy": "fedvsr"}, "strategy is fedavg, not fedvsr"),
        ("optimiser=sgd", {}, "optimiser is adam, not sgd"),
        ("training.augment=[flips]", {}, "training.augment is [flips,rotations,reversal], not [flips]"),
        ("evaluation.ema=0.9 rounds=9", {}, "evaluation.ema is null, not 0.9"),
        ("+optimiser.eps=1e-7", {}, "optimiser.eps is null, not 1e-07"),
    ],
)
def test_what_cannot_change_is_named_and_only_that(run, words, choices, named):
    with pytest.raises(ConfigurationError) as refusal:
        resumed(run, words, **choices)
    assert str(refusal.value) == (
        f"a resumed run keeps what it computes: {named}; leave that out, or start a new run"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("rounds=1", "rounds must be at least 2, which are done, got 1"),
        ("rounds=many", "rounds: must be a whole number, got many"),
        ("rund=9", "there is no key 'rund'; did you mean 'run'?"),
        ("rounds", "overrides can't be read as key=value"),
    ],
)
def test_what_is_wrong_by_itself(run, words, sentence):
    with pytest.raises(ConfigurationError, match=sentence.replace("?", r"\?")):
        resumed(run, words)


def test_a_run_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="a run directory has a journal"):
        settings_of_run({"overrides": f"run.resume={tmp_path / 'nowhere'}"})


def test_what_else_has_changed_is_told():
    before = {"code": "a", "held-out": "x", "device": "cpu", "versions": {"torch": "2.5", "numpy": "2.0"}}
    now = {"code": "b", "held-out": "y", "device": "cpu", "versions": {"torch": "2.6", "numpy": "2.0"}}
    assert list(changed_since(before, now)) == [
        "the code that trains changed: a before, b now",
        "the held-out clips, so that scores before and after don't compare changed: x before, y now",
        "versions changed: torch 2.5 -> 2.6",
    ]
    assert list(changed_since({}, now)) == []
