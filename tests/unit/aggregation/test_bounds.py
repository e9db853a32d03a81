"""Promises: only finite values below the limit pass, in every floating-point type."""

import numpy as np
import pytest

from fedvsr_core.aggregation.bounds import within


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 8.0, -8.0])
def test_one_bad_value_is_found(dtype, bad):
    values = np.linspace(-7, 7, 60, dtype=dtype).reshape(3, 4, 5)
    assert within(values, 8)
    for place in ((0, 0, 0), (1, 2, 3), (2, 3, 4)):
        spoilt = values.copy()
        spoilt[place] = bad
        assert not within(spoilt, 8)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_any_shape(shape):
    assert within(np.zeros(shape, np.float32))
