"""Promises: a bound from the median of earlier rounds, none while little is known, no lock on the past."""

import math

import pytest

from server_app.norms import Norms


def test_by_hand():
    norms = Norms(factor=10, fewest=4)
    norms.add([1.0, 2.0, 3.0])
    assert norms.bound() == math.inf
    norms.add([1000.0])
    assert norms.bound() == 25.0  # 10 times the median of 1, 2, 3 and 1000


def test_until_then_another_number_stands_for_the_median():
    norms = Norms(factor=10, fewest=2)
    assert norms.bound(3.0) == 30.0
    norms.add([1.0, 1.0])
    assert norms.bound(3.0) == 10.0


def test_a_minority_of_giants_moves_little():
    norms = Norms(known=[1.0] * 20)
    norms.add([1e6] * 9)
    assert norms.bound() == 20.0


def test_the_bound_follows_training():
    norms = Norms(memory=8)
    norms.add([1.0] * 8)
    norms.add([100.0] * 5)
    assert norms.bound() == 2000.0


@pytest.mark.parametrize("factor", [20, math.inf])
@pytest.mark.parametrize("known", [[], [0.0] * 10], ids=["nothing", "only zeros"])
def test_no_bound(known, factor):
    assert Norms(known=known, factor=factor).bound() == math.inf


def test_a_bound_that_is_switched_off():
    assert Norms(known=[1.0] * 20, factor=math.inf).bound() == math.inf
