"""Promises: the usual norm is that of the round's own clients, whatever a minority sends."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_app.norms import Norms


def test_by_hand():
    assert Norms().usual([3.0, 1.0, 100.0, 2.0]) == 2.0
    assert Norms().usual([3.0, 1.0, 100.0]) == 3.0


@pytest.mark.parametrize("norms", [[], [1.0], [1.0, 50.0], [0.0, 0.0, 0.0, 5.0]])
def test_who_knows_too_little_bounds_nothing(norms):
    assert Norms().usual(norms) == math.inf


def test_in_small_rounds_the_rounds_before_count_as_clients():
    norms = Norms()
    norms.add([1.0, 2.0])
    assert norms.usual([3.0, 50.0]) == 3.0  # of 1, 3 and 50
    norms.add([4.0, 5.0])
    assert norms.usual([3.0, 50.0]) == 3.0  # of 1, 3, 4 and 50
    assert norms.usual([50.0]) == 4.0  # of 1, 4 and 50
    assert norms.usual([7.0, 8.0, 9.0, 50.0]) == 8.0  # enough by themselves
    norms.add([])
    assert norms.known == [1.0, 4.0]
    assert Norms(norms.known).usual([50.0]) == 4.0


@given(honest=st.lists(st.floats(0.1, 10), min_size=3, max_size=9), lies=st.lists(st.floats(0, 1e9)))
def test_a_minority_moves_it_no_further_than_the_others_reach(honest, lies):
    usual = Norms().usual([*honest, *lies[: len(honest) - 1]])
    assert min(honest) <= usual <= max(honest)
