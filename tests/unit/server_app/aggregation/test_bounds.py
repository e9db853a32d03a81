"""Promises: the largest magnitude, which is infinite as soon as one value isn't finite."""

import math

import numpy as np
import pytest

from server_app.aggregation.bounds import largest

every_type = pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])


@every_type
@pytest.mark.parametrize("value", [8.0, -8.0])
@pytest.mark.parametrize("place", [(0, 0, 0), (1, 2, 3), (2, 3, 4)], ids=str)
def test_by_hand(dtype, value, place):
    values = np.linspace(-7, 7, 60, dtype=dtype).reshape(3, 4, 5)
    assert largest(values) == 7
    values[place] = value
    assert largest(values) == 8


@every_type
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_infinite_if_one_value_is_not_finite(dtype, bad):
    for place in range(9):
        values = np.linspace(-7, 7, 9, dtype=dtype)
        values[place] = bad
        assert largest(values) == math.inf


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_nothing(shape):
    assert largest(np.zeros(shape, np.float32)) == 0
