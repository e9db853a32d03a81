"""Promises: a weighted sum to the last digits of float32, of the same bits in any order, for any values."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedvsr_core.errors import AggregationError
from server_app.aggregation import running_sum
from server_app.aggregation import threads as threads_module
from server_app.aggregation.bounds import largest
from server_app.aggregation.running_sum import RunningSums

MOST = float(np.float32(2**20 * (1 - 2**-20)))
VALUES = st.floats(-MOST, MOST, width=32)
FACTORS = st.floats(2.0**-30, 2.0**30)


def summed(terms, scales, coefficients):
    sums = RunningSums(scales)
    for arrays, factors in terms:
        sums.add(arrays, factors, {name: largest(array) for name, array in arrays.items()})
    return dict(sums.combine(coefficients))


def test_by_hand():
    # 2 * (1 * 1 + 3 * 5) + 0.5 * (10 * 1 + 20 * 5) = 32 + 55
    terms = [({"a": np.array([[1.0]])}, (1, 10)), ({"a": np.array([[5.0]])}, (3, 20))]
    assert summed(terms, (1, 16), (2, 0.5))["a"].tolist() == [[87.0]]


@settings(deadline=None)
@given(st.data(), st.integers(1, 9))
def test_order_changes_no_bit(data, count):
    terms = [
        ({"a": data.draw(hnp.arrays(np.float32, 7, elements=VALUES))}, (1.0, data.draw(FACTORS)))
        for _ in range(count)
    ]
    coefficients = 1 / count, 1 / sum(factors[1] for _, factors in terms)
    found = summed(terms, (1, 16), coefficients)["a"]
    shuffled = summed(data.draw(st.permutations(terms)), (1, 16), coefficients)["a"]
    assert found.dtype == np.float32
    assert shuffled.tobytes() == found.tobytes()


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=9), FACTORS, st.sampled_from([1.0, 16.0, 128.0]))
def test_error_is_below_a_unit(values, factor, scale):
    terms = [({"a": np.array([value], np.float64)}, (factor,)) for value in values]
    found = summed(terms, (scale,), (1,))["a"][0]
    exact = sum(Fraction(value) * Fraction(factor) for value in values)
    size = sum(abs(Fraction(value) * Fraction(factor)) for value in values)
    # half a unit for each term, the product's rounding, and float64's in the end
    assert abs(Fraction(found) - exact) <= len(values) * Fraction(scale) / 2**48 + size / 2**51


@settings(deadline=None)
@given(hnp.arrays(np.float32, 50, elements=st.floats(-1, 1, width=32)), st.integers(1, 20))
def test_equal_updates_stay_as_they_are(values, count):
    # what a frozen parameter relies on, down to values that no network holds
    values[np.abs(values) < 1e-6] = 0
    found = summed([({"a": values}, (1.0,))] * count, (1,), (1 / count,))["a"]
    assert found.tobytes() == (values + np.float32(0)).tobytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_names_shapes_and_types_stay(dtype):
    generator = np.random.default_rng(0)
    arrays = {
        "matrix": generator.standard_normal((5, 7)).astype(dtype),
        "scalar": np.asarray(dtype(3)),
        "empty": np.zeros((0, 4), dtype),
        "columns": np.asfortranarray(generator.standard_normal((4, 6)).astype(dtype)),
    }
    found = summed([(arrays, (1,)), (arrays, (3,))], (1,), (0.25,))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == dtype
        assert found[name].shape == array.shape
        np.testing.assert_allclose(found[name], array, rtol=0, atol=2.0**-48 if dtype is np.float64 else 0)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_leave_no_array_out(monkeypatch, threads):
    monkeypatch.setattr(threads_module.os, "cpu_count", lambda: threads)
    generator = np.random.default_rng(0)
    terms = [
        (
            {f"a{size}": generator.standard_normal(size) * 10.0 ** (power % size) for size in range(1, 41)},
            (0.1 * power + 1,),
        )
        for power in range(5)  # from 10^2 on, the carries take part
    ]
    found = summed(terms, (1,), (0.5,))
    for name, array in found.items():
        expected = 0.5 * sum(factor * arrays[name] for arrays, (factor,) in terms)
        np.testing.assert_allclose(array, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("count", range(1, 10))
def test_any_number_of_terms(count):
    terms = [({"a": np.array([2.0**k, -1.0])}, (3.0,)) for k in range(count)]
    assert summed(terms, (1,), (1,))["a"].tolist() == [3 * (2**count - 1), -3 * count]


def test_sums_start_anew_in_the_same_memory():
    sums = RunningSums((1,))
    for value in (100.0, 1.0):  # the first one leaves a carry
        sums.clear()
        sums.add({"a": np.array([value])}, (1,), {"a": value})
        assert dict(sums.combine((1,)))["a"].tolist() == [value]


def test_sums_hold_as_many_terms_as_they_promise():
    sums = RunningSums((1,))
    values = np.array([15.999, -15.999, 2.0**20 - 1], np.float64)
    for _ in range(running_sum.MOST_TERMS):
        sums.add({"a": values}, (1,), {"a": 2.0**20 - 1})
    np.testing.assert_allclose(dict(sums.combine((1 / running_sum.MOST_TERMS,)))["a"], values, rtol=1e-12)
    with pytest.raises(AggregationError, match="at most 4095 updates; draw fewer clients"):
        sums.add({"a": values}, (1,), {"a": 2.0**20 - 1})


@pytest.mark.parametrize(("value", "each_byte"), [(1.0, 16), (100.0, 32)])  # without and with carries
def test_kept_memory_doesn_t_grow(value, each_byte):
    sums = RunningSums((1, 16))
    arrays = {"a": np.full(1000, value, np.float32)}
    kept = []
    for _ in range(20):
        sums.add(arrays, (1, 2), {"a": value})
        assert len(sums._waiting) < running_sum.GROUP
        kept.append(sum(array.nbytes for array in (*sums._sums.values(), *sums._carries.values())))
    assert set(kept) == {1000 * each_byte}
