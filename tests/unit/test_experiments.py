"""Promises: every study composes, full-size ones have a twin, and their heads name a command that fits."""

import re
from pathlib import Path

import pytest

from server_app.config import compose, options

FOLDER = Path(__file__).parents[2] / "conf" / "experiment"
STUDIES = ("main_less", "main_more", "ablation", "clients_120", "clients_240", "upload_failure",
           "local_epochs", "overhead")  # fmt: skip


def head(name):
    return (FOLDER / f"{name}.yaml").read_text()


def composed(name, **more):
    given = re.findall(r"\bdata\.\S+=[^\s']+", head(name))  # the folders that its command names
    return compose({"experiment": name, "overrides": " ".join(given), **more})


@pytest.mark.parametrize("name", [*STUDIES, *(f"mini_{study}" for study in STUDIES)])
def test_a_study_composes_for_the_strategies_that_its_head_names(name):
    command = re.search(rf"fedvsr compare --experiment {name} --strategies (\S+) --clients (\d+)", head(name))
    assert command, f"the head of {name} must have its command"
    strategies = command[1].split(",")
    assert set(strategies) <= set(options("strategy"))
    drawn = composed(name, strategy=strategies[-1]).cohort.clients_per_round
    assert drawn is None or drawn < int(command[2])


def test_the_papers_protocol():
    for name in ("main_less", "main_more"):
        settings = composed(name)
        assert (settings.rounds, settings.cohort.clients_per_round, settings.training.epochs) == (100, 4, 1)
        assert settings.optimiser["lr"] == 4e-4
        assert settings.optimiser["betas"] == [0.9, 0.99]
    assert composed("upload_failure").cohort.upload_failure == 0.25
    assert composed("local_epochs").training.epochs == 2


@pytest.mark.parametrize("study", STUDIES)
def test_a_twin_differs_in_size_and_not_in_method(study):
    full, twin = composed(study), composed(f"mini_{study}")
    assert full.cohort.upload_failure == twin.cohort.upload_failure
    assert (
        full.cohort.clients_per_round == twin.cohort.clients_per_round
    ) or twin.cohort.clients_per_round is None
    assert twin.names["model"] == "recurrent"
    assert twin.rounds <= 20
