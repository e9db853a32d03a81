"""Promises: each strategy gets the value that is best for it on other seeds, by one rule."""

import json
import re

import pytest

from fedvsr.comparison.entries import Entry
from fedvsr.comparison.trials import trials_of
from fedvsr.comparison.tuning import Tuning
from fedvsr_core.errors import ConfigurationError
from tests.unit.fedvsr.comparison.test_tables import journal

ENTRIES = [
    Entry("fedavg", "fedavg", "fedavg", "", 4),
    Entry("new", "new", "new", "", 4),
    Entry("local", "local 0", "fedavg", "", 1),
]


def tried(tmp_path, scores, seeds=(8, 9)):
    """Trials with these final scores, by entry and value; None for one that failed."""
    tuning = Tuning.of("optimiser.lr=1e-3,2e-3", seeds, (0, 1))
    trials = tuning.trials(ENTRIES, tmp_path)
    for trial in trials:
        folder = trial.root / "run"
        folder.mkdir(parents=True)
        score = scores[trial.entry.row, trial.entry.tried]
        end = {"phase": "end", "outcome": "completed" if score else "it diverged", "seconds": 60.0}
        lines = [*journal((score or 1.0) + 0.1 * trial.seed), end]
        (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tuning, trials


SCORES = {
    ("fedavg", "1e-3"): 28.0, ("fedavg", "2e-3"): 27.9, ("new", "1e-3"): 28.0, ("new", "2e-3"): 28.3,
}  # fmt: skip


def test_each_gets_its_own_best(tmp_path):
    tuning, trials = tried(tmp_path, SCORES)
    assert len(trials) == 2 * 2 * 2  # local training isn't tuned
    assert {(trial.entry.tried, trial.seed) for trial in trials} == {
        (value, seed) for value in ("1e-3", "2e-3") for seed in (8, 9)
    }
    assert tuning.choose(trials) == {"fedavg": "1e-3", "new": "2e-3"}
    assert [entry.overrides for entry in tuning.applied(ENTRIES, trials, "fedavg")] == [
        "optimiser.lr=1e-3", "optimiser.lr=2e-3", "optimiser.lr=1e-3",
    ]  # fmt: skip
    header, rows = tuning.table(trials)
    assert header == ["strategy", "optimiser.lr=1e-3", "optimiser.lr=2e-3"]
    assert rows == [
        ["fedavg", "**28.850 ± 0.071**", "28.750 ± 0.071"],
        ["new", "28.850 ± 0.071", "**29.150 ± 0.071**"],
    ]
    assert tuning.cost(trials) == "8 runs, 8 min 0 s"


def test_of_equals_the_first(tmp_path):
    tuning, trials = tried(tmp_path, SCORES | {("new", "2e-3"): 28.0})
    assert tuning.choose(trials)["new"] == "1e-3"


def test_a_value_that_fails_is_not_chosen(tmp_path):
    tuning, trials = tried(tmp_path, SCORES | {("new", "2e-3"): None})
    assert tuning.choose(trials)["new"] == "1e-3"
    assert tuning.table(trials)[1][1][2] == "failed"


def test_without_any_value_a_row_is_left_out_and_the_others_go_on(tmp_path):
    tuning, trials = tried(tmp_path, SCORES | {("new", "2e-3"): None, ("new", "1e-3"): None})
    assert tuning.choose(trials) == {"fedavg": "1e-3"}
    assert [entry.row for entry in tuning.applied(ENTRIES, trials, "fedavg")] == ["fedavg", "local"]
    assert tuning.table(trials)[1][1] == ["new", "failed", "failed"]


def test_what_was_chosen_names_the_folder(tmp_path):
    tuning, trials = tried(tmp_path, SCORES)
    applied = tuning.applied(ENTRIES, trials, "fedavg")
    assert [trial.root.name for trial in trials_of(applied, [0], tmp_path)] == [
        "fedavg_optimiser.lr_1e-3-seed0", "new_optimiser.lr_2e-3-seed0", "local_0_optimiser.lr_1e-3-seed0",
    ]  # fmt: skip


def test_budgets_are_not_tuned():
    with pytest.raises(ConfigurationError, match=r"--tune must leave training\.steps alone"):
        Tuning.of("training.steps=1,2", (8,), (0,))


@pytest.mark.parametrize("text", ["optimiser.lr", "optimiser.lr=1", "=1,2", "optimiser.lr=1,1"])
def test_what_is_no_choice_is_refused(text):
    with pytest.raises(ConfigurationError, match=re.escape(f"got '{text}'")):
        Tuning.of(text, (8,), (0,))


def test_seeds_of_the_table_are_refused():
    with pytest.raises(ConfigurationError, match=r"--tune-seeds must not be among --seeds, but 1 is"):
        Tuning.of("optimiser.lr=1,2", (1, 8), (0, 1))
