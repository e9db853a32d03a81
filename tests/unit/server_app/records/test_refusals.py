"""Refusals are counted by client and reason, and those who are refused again and again are named."""

from typing import Any

from server_app.records.refusals import Refused, persistent_offenders, refusals


def line(number: int, accepted: list[str], refused: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "phase": "train",
        "round": number,
        "clients": [{"client": name} for name in accepted],
        "refused": [
            {"client": name, "code": code, "reason": f"{code} in {number}"} for name, code in refused
        ],
    }


def test_by_client_and_code() -> None:
    lines = [
        line(1, ["b-2"], [("b-10", "timeout"), ("b-9", "error")]),
        line(2, ["b-2"], [("b-10", "error"), ("b-9", "error")]),
        line(3, ["b-2", "b-9"], [("b-10", "timeout")]),
    ]
    assert refusals(lines) == [
        Refused("b-9", "error", (1, 2), "error in 2"),
        Refused("b-10", "error", (2,), "error in 2"),
        Refused("b-10", "timeout", (1, 3), "timeout in 3"),
    ]


def test_offenders_are_refused_twice_and_more_often_than_accepted() -> None:
    lines = [
        line(1, ["half"], [("once", "error"), ("often", "error"), ("always", "error")]),
        line(2, ["half", "often"], [("always", "timeout"), ("always", "duplicate")]),
        line(3, [], [("half", "error"), ("often", "error")]),
        line(4, [], [("half", "error")]),
    ]
    assert persistent_offenders(lines) == ["always", "often"]


def test_a_clean_run_has_none(journal: list[dict[str, Any]]) -> None:
    clean = [one for one in journal if not one.get("refused")]
    assert refusals(clean) == []
    assert persistent_offenders(clean) == []
