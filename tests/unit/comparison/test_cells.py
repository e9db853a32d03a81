"""Promises: cells start, continue and end as their journals say; a folder keeps its plan."""

import json
import shlex

import pytest

from fedvsr_core.comparison.cells import Plan, by_strategy, cells_of
from fedvsr_core.errors import ConfigurationError


@pytest.fixture
def plan():
    return Plan(("fedvsr", "fedavg"), (0, 3), {"experiment": "smoke", "model": ""}, "rounds=5", 4, "")


def lead(cell, *lines, stamp="1"):
    folder = cell.root / stamp
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


TRAINED, ENDED = {"phase": "train", "round": 2}, {"phase": "end", "outcome": "completed"}


def test_seed_by_seed(plan, tmp_path):
    cells = list(cells_of(plan, tmp_path))
    assert [(cell.strategy, cell.seed) for cell in cells] == [
        ("fedvsr", 0), ("fedavg", 0), ("fedvsr", 3), ("fedavg", 3),
    ]  # fmt: skip
    assert len({cell.root for cell in cells}) == 4
    assert plan.reference == "fedavg"


def test_a_cell_starts_then_continues(plan, tmp_path):
    cell = list(cells_of(plan, tmp_path / "a b"))[3]
    words = dict(word.split("=", 1) for word in shlex.split(cell.run_config(plan)))
    assert words["strategy"] == "fedavg"
    assert words["experiment"] == "smoke"
    assert "model" not in words
    assert shlex.split(words["overrides"]) == ["seed=3", f"run.root={cell.root}", "rounds=5"]
    assert (cell.outcome, cell.rounds) == ("not at its end", 0)
    folder = lead(cell, TRAINED)
    assert (cell.outcome, cell.rounds) == ("not at its end", 2)
    (word,) = shlex.split(cell.run_config(plan))
    assert shlex.split(word.removeprefix("overrides=")) == [f"run.resume={folder}"]


def test_completed_cells_by_strategy(plan, tmp_path):
    cells = list(cells_of(plan, tmp_path))
    for cell in (cells[3], cells[1], cells[2]):
        lead(cell, TRAINED, ENDED)
    lead(cells[0], {"phase": "end", "outcome": "it broke"})
    assert cells[0].outcome == "it broke"
    found = by_strategy(cells)
    assert {name: [cell.seed for cell in some] for name, some in found.items()} == {
        "fedvsr": [3],
        "fedavg": [0, 3],
    }


def test_a_folder_keeps_its_plan_but_takes_more_seeds(plan, tmp_path):
    plan.claim(tmp_path)
    Plan(("fedprox",), (9,), plan.choices, plan.overrides, 4, "").claim(tmp_path)
    with pytest.raises(ConfigurationError, match=r"holds a comparison with other overrides \('rounds=5'\)"):
        Plan(plan.strategies, plan.seeds, plan.choices, "rounds=6", 4, "").claim(tmp_path)
