"""Rounds are read from the journal as they were written, whatever was repeated or left out."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server_app.records.history import (
    best_evaluation,
    client_series,
    ends,
    evaluations,
    natural,
    outcome,
    starts,
    trainings,
)

Lines = list[dict[str, Any]]


def test_gains_by_hand(journal: Lines) -> None:
    scored = evaluations(journal)
    assert [one.round for one in scored] == [0, 1, 2, 3]
    assert [one.gain() for one in scored] == [0.0, 0.25, 0.5, 0.375]
    assert scored[2].mean["psnr-y"] == (24.5 + 32.5) / 2
    assert scored[2].clip_gain("bikes/138-186") == 0.5


def test_a_new_bicubic_counts_from_its_line_on(journal: Lines) -> None:
    bicubic = {"psnr-y": 20.0, "clips": {"bikes/138-186": {"psnr-y": 21.0}}}
    journal[5] = {**journal[5], "bicubic": bicubic}  # round 2
    gains = [one.gain() for one in evaluations(journal)]
    assert gains == [0.0, 0.25, 28.5 - 20.0, 28.375 - 20.0]
    assert evaluations(journal)[3].clip_gain("bikes/138-186") == 24.375 - 21.0
    assert math.isnan(evaluations(journal)[3].clip_gain("carphone/000-119"))


def test_a_continued_run_has_two_starts_and_one_outcome(journal: Lines) -> None:
    broken = {"phase": "end", "seconds": 1.0, "outcome": "it broke"}
    lines = [*journal[:5], broken, {"phase": "start", "resumed-after": 2}, *journal[6:]]
    assert [line.get("resumed-after") for line in starts(lines)] == [None, 2]
    assert [ends(lines[:count]) for count in (5, 6, 7, len(lines))] == [0, 1, 1, 2]
    assert [outcome(lines[:count]) for count in (5, 6, 7, len(lines))] == [
        None,
        "it broke",
        None,
        "completed",
    ]


def test_the_best_is_furthest_above_bicubic(journal: Lines) -> None:
    best = best_evaluation(journal)
    assert best is not None
    assert best.round == 2
    # The last round, scored on other frames: 28.375 is below 28.5, but further above its own bicubic.
    journal[7] = {**journal[7], "bicubic": {"psnr-y": 27.0}}
    best = best_evaluation(journal)
    assert best is not None
    assert best.round == 3


def test_scores_that_are_words_are_numbers_too(journal: Lines) -> None:
    journal[5]["psnr-y"] = "nan"
    journal[7]["clips"]["bikes/138-186"]["psnr-y"] = "inf"
    best = best_evaluation(journal)
    assert best is not None
    assert best.round == 3
    assert evaluations(journal)[3].clip_gain("bikes/138-186") == math.inf


def test_without_evaluations_there_is_no_best() -> None:
    assert evaluations([{"phase": "start"}]) == []
    assert best_evaluation([{"phase": "start"}]) is None


def test_the_last_line_of_a_round_counts(journal: Lines) -> None:
    journal.append({**journal[6], "seconds": 99.0})
    assert [(line["round"], line["seconds"]) for line in trainings(journal)] == [
        (1, 5.0),
        (2, 5.0),
        (3, 99.0),
    ]


def test_series_by_client(journal: Lines) -> None:
    assert client_series(journal, "loss") == {
        "partition-0": {1: 0.04, 2: 0.03, 3: 0.02},
        "partition-1": {1: 0.02},
    }
    journal[6]["clients"][0]["weight"] = None
    assert client_series(journal, "weight") == {"partition-0": {1: 0.25, 2: 1.0}, "partition-1": {1: 0.75}}


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_names_are_sorted_by_their_numbers(numbers: list[int]) -> None:
    names = [f"partition-{number}" for number in numbers]
    assert sorted(names, key=natural) == [f"partition-{number}" for number in sorted(numbers)]


def test_names_without_numbers_are_sorted_too() -> None:
    assert sorted(["site-b", "site-10", "site-a", "site-9", "²"], key=natural) == [
        "site-9", "site-10", "site-a", "site-b", "²",
    ]  # fmt: skip


def test_the_best_by_a_metric_of_which_less_is_better(journal: Lines) -> None:
    protocol, bicubic = {"metrics": ["lpips"]}, {"lpips": 0.5}
    for line in journal:
        if line["phase"] == "evaluate":
            line |= {
                "protocol": protocol,
                "bicubic": bicubic,
                "lpips": 0.5 - line["round"] * (4 - line["round"]),
            }
    best = best_evaluation(journal)
    assert best is not None
    assert (best.round, best.headline, best.gain()) == (2, "lpips", -4.0)
