"""Promises: values are shown as they are typed, and types are said in words."""

import math

import pytest

from fedvsr_core.typed import kind_problem, typed


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (1e-3, "0.001"),
        (math.inf, "inf"),
        ("lpips", "lpips"),
        ("4", '"4"'),
        ("null", '"null"'),
        ("", '""'),
        ("a\nb", '"a\\nb"'),
        (("flips", "reversal"), "[flips,reversal]"),
        ({"lr": [1, None]}, "{lr:[1,null]}"),
    ],
)
def test_values(value, shown):
    assert typed(value) == shown


@pytest.mark.parametrize(
    ("error_type", "said"),
    [
        ("int_parsing", "must be a whole number"),
        ("int_from_float", "must be a whole number"),
        ("tuple_type", "must be a list such as [a,b]"),
        ("greater_than_equal", "Input should be greater"),
        ("missing", "Input should be greater"),
    ],
)
def test_kinds(error_type, said):
    assert kind_problem(error_type, "Input should be greater") == said
