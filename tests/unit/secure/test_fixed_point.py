"""Promises: sums of words are the words of sums, to a known error, and never overflow."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.secure.fixed_point import (
    FixedPoint,
    decode_scalars,
    encode_scalars,
    pack_scalars,
    unpack_scalars,
)

CLIPS = st.floats(1e-3, 1e3)


def test_by_hand():
    # the largest sum is 8 = 2**3; of 32 bits one is the sign, one room for roundings: 32 - 2 - 3 = 27
    fixed = FixedPoint.that_holds(8.0, 16)
    assert (fixed.bits, fixed.word_bits, fixed.error) == (27, 32, 2**-28)
    words = fixed.encode(np.array([0.5, -0.5, 2**-27]))
    assert words.tolist() == [2**26, 2**32 - 2**26, 1]
    assert fixed.decode(words + words).tolist() == [1.0, -1.0, 2**-26]


def test_words_are_wider_if_need_be():
    assert FixedPoint.that_holds(2**13, 18) == FixedPoint(40, 64)
    with pytest.raises(ConfigurationError, match=r"don't fit into 64 bits; lower secure.clip or secure.bits"):
        FixedPoint.that_holds(2.0**40, 30)


@given(st.integers(3, 40), CLIPS, st.integers(8, 24), st.randoms(use_true_random=False))
def test_the_largest_sum_there_can_be_is_held(clients, clip, least, random):
    fixed = FixedPoint.that_holds(clients * clip, least)
    sign = random.choice([-1, 1])
    words = np.zeros(1, fixed.dtype)
    for _ in range(clients):
        words += fixed.encode(np.array([sign * clip]))
    error = clients * fixed.error
    assert fixed.decode(words)[0] == pytest.approx(sign * clients * clip, abs=error, rel=1e-15)


@given(
    st.lists(st.lists(st.floats(-64, 64), min_size=3, max_size=3), min_size=3, max_size=10),
)
def test_the_error_is_bounded(clients):
    fixed = FixedPoint.that_holds(64.0 * len(clients), 16)
    words = np.zeros(3, fixed.dtype)
    for values in clients:
        words += fixed.encode(np.array(values))
    np.testing.assert_allclose(
        fixed.decode(words), np.sum(clients, axis=0), rtol=1e-12, atol=len(clients) * fixed.error
    )


@given(st.lists(st.floats(-(2.0**100), 2.0**100), min_size=2, max_size=6))
def test_scalars_add_up(values):
    packed = [pack_scalars(encode_scalars([value, -value])) for value in values]
    sums = [sum(column) for column in zip(*map(unpack_scalars, packed), strict=True)]
    exact = sum(map(Fraction, values))
    error = Fraction(len(values), 2**256)
    for got, expected in zip(decode_scalars(sums), (exact, -exact), strict=True):
        assert abs(got - expected) <= error
