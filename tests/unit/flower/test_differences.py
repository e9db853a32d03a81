import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedvsr_core.flower.arrays import record_from_arrays, size_bytes, to_arrays
from fedvsr_core.flower.differences import from_difference, to_differences


def sent(trained, start):
    return to_differences(record_from_arrays({"a": trained}), record_from_arrays({"a": start}))


def returned(trained, start):
    return from_difference(to_arrays(sent(trained, start))["a"], start)


@given(
    hnp.arrays(np.float32, (3, 5), elements=st.floats(-8, 8, width=32)),
    hnp.arrays(np.float32, (3, 5), elements=st.floats(-1, 1, width=32)),
)
def test_differences_come_back_to_three_digits(start, learned):
    trained = start + learned
    restored = returned(trained, start)
    assert restored.dtype == np.float32
    # Half a unit of float16 in the difference, half a unit of float32 in the sum.
    tolerance = np.abs(trained - start) * 2.0**-11 + np.abs(trained) * 2.0**-23 + 2.0**-34
    assert (np.abs(restored - trained) <= tolerance).all()


def test_half_the_bytes_travel():
    start = np.zeros((64, 64, 3, 3), np.float32)
    whole = size_bytes(record_from_arrays({"a": start}))
    assert size_bytes(sent(start + np.float32(1e-3), start)) == pytest.approx(whole / 2, rel=0.01)


def test_what_was_not_trained_comes_back_to_the_bit():
    start = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    assert returned(start, start).tobytes() == start.tobytes()


@pytest.mark.parametrize("value", [64.1, 1e30, np.inf, np.nan])
def test_what_float16_cannot_hold_travels_whole(value):
    start, trained = np.zeros(3, np.float32), np.array([0, value, 1], np.float32)
    np.testing.assert_array_equal(returned(trained, start), trained)


def test_float64_is_restored_and_other_types_travel_as_they_are():
    assert returned(np.ones(2), np.zeros(2)).dtype == np.float64
    for dtype in (np.float16, np.int64, np.bool_):
        array = np.ones(4, dtype)
        assert sent(array, np.zeros(4, dtype))["a"].dtype == str(np.dtype(dtype))
        np.testing.assert_array_equal(returned(array, np.zeros(4, dtype)), array)


def test_a_difference_of_another_shape_is_left_for_the_reader_to_refuse():
    received = np.zeros(4, np.float16)
    assert from_difference(received, np.zeros(3, np.float32)) is received
