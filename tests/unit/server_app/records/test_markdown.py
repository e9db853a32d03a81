"""Numbers and tables read as a person writes them."""

import math

import pytest

from server_app.records.markdown import duration, number, ranges, signed, table


def test_a_table_cannot_be_broken_by_its_cells() -> None:
    lines = table(["a", "b"], [["x|y", "two\nlines"], [1, None]])
    assert lines == ["| a | b |", "| --- | --- |", "| x\\|y | two lines |", "| 1 | None |"]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([], ""), ([3], "3"), ([1, 2, 3], "1-3"), ([1, 3, 4, 9], "1, 3-4, 9")],
    ids=["none", "one", "range", "mixed"],
)
def test_ranges(numbers: list[int], expected: str) -> None:
    assert ranges(numbers) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.2, "0 s"), (59.6, "1 min 0 s"), (260, "4 min 20 s"), (3600, "1 h 0 min"), (90061, "25 h 1 min")],
)
def test_duration(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_numbers() -> None:
    assert [number(value, 2) for value in (None, 1, 0.126, "inf", "nan")] == [
        "",
        "1.00",
        "0.13",
        "inf",
        "nan",
    ]
    values = (0.5, -0.25, -0.0001, math.nan, math.inf)
    assert [signed(value) for value in values] == ["+0.500", "-0.250", "+0.000", "", "+inf"]
