"""Promises: whatever makes two runs incomparable is found, and named."""

import copy

import pytest

from fedvsr.comparison.budget import check_equal
from fedvsr_core.errors import FederationError


def client(name, **changes):
    return {
        "client": name,
        "device": "cpu",
        "examples": 7,
        "steps": 3,
        "batches": f"digest-{name}",
        "loss": 0.1,
    } | changes


@pytest.fixture
def journal():
    return [
        {"phase": "start", "model": "m", "data": "d", "parameters": 9, "rounds": 2, "names": ["a", "b"],
         "initial-weights": "f00d", "code": "c0de", "server-code": "5e12",
         "versions": {"torch": "2"}, "device": "cpu"},
        {"phase": "evaluate", "round": 0},
        {"phase": "train", "round": 1, "clients": [client("a"), client("b")], "refused": []},
        {"phase": "train", "round": 2, "clients": [client("b")],
         "refused": [{"client": "a", "code": "norm"}]},
    ]  # fmt: skip


def test_equal_runs_pass(journal):
    other = copy.deepcopy(journal)
    other[2]["clients"][0]["loss"] = 0.7
    check_equal({"one": journal, "two": other})
    check_equal({"one": journal})


def test_a_resumed_run_counts_from_its_first_start(journal):
    again = {**journal[0], "resumed-after": 1}
    del again["initial-weights"]
    check_equal({"one": journal, "two": [*journal[:3], again, journal[3]]})


def test_a_client_that_one_strategy_drives_astray_took_part(journal):
    other = copy.deepcopy(journal)
    other[2] |= {"clients": [client("a")], "refused": [{"client": "b", "code": "non-finite"}]}
    check_equal({"one": journal, "two": other})


def test_a_client_that_declined_is_lost_to_a_fault(journal):
    other = copy.deepcopy(journal)
    other[2] |= {"clients": [client("a")], "refused": [{"client": "b", "code": "declined"}]}
    with pytest.raises(FederationError, match="round 1, clients lost to faults"):
        check_equal({"one": journal, "two": other})


@pytest.mark.parametrize("what", ["code", "server-code", "versions", "device"])
def test_a_run_that_other_code_continued_is_no_equal(journal, what):
    journal[0]["server-code"] = "c0de"
    other = [*journal[:3], {**journal[0], "resumed-after": 1, what: "other"}, journal[3]]
    with pytest.raises(FederationError, match="aren't comparable"):
        check_equal({"one": journal, "two": other})


CHANGES = {
    "initial weights": lambda lines: lines[0].update({"initial-weights": "beef"}),
    "rounds asked for": lambda lines: lines[0].update(rounds=3),
    "code": lambda lines: lines[0].update(code="0"),
    "versions of the software": lambda lines: lines[0].update(versions={"torch": "3"}),
    "device": lambda lines: lines[0].update(device="cuda:0"),
    "code of the server": lambda lines: lines[0].update({"server-code": "0"}),
    "round 1, a, device": lambda lines: lines[2]["clients"][0].update(device="cuda:0"),
    "round 1, a, batches": lambda lines: lines[2]["clients"][0].update(batches="other"),
    "round 1, b, local steps": lambda lines: lines[2]["clients"][1].update(steps=4),
    "round 1, b, partition": lambda lines: lines[2]["clients"][1].update(examples=8),
    "round 2, clients lost to faults": lambda lines: lines[3]["refused"][0].update(code="error"),
    "round 2, clients that took part": lambda lines: lines[3].update(refused=[]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_difference_is_named(journal, what):
    other = copy.deepcopy(journal)
    CHANGES[what](other)
    with pytest.raises(FederationError, match=f"^'one' and 'two' aren't comparable: {what}: "):
        check_equal({"one": journal, "two": other})


def test_a_missing_or_additional_round_is_found(journal):
    for runs in ({"one": journal, "two": journal[:3]}, {"one": journal[:3], "two": journal}):
        with pytest.raises(FederationError, match=r"round 2, clients that took part: .*nothing"):
            check_equal(runs)
