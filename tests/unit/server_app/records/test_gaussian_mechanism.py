"""The epsilon of many rounds of noise is exact: equal to that of an independent accountant."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_app.records.gaussian_mechanism import classical_noise_multiplier, composed_epsilon

# From Google's dp-accounting 0.6.0: PLDAccountant and RdpAccountant after
# compose(GaussianDpEvent(noise), rounds).
# The first is exact but for its grid of 1e-4, the second an upper bound.
GOLDEN = [
    (4.84480588, 1, 1e-5, 0.751, 0.822),
    (4.84480588, 8, 1e-5, 2.3709, 2.5729),
    (1.0, 1, 1e-5, 4.3772, 4.7285),
    (1.0, 100, 1e-6, 96.7173, 100.7215),
    (0.5, 3, 1e-5, 20.125, 21.4449),
    (10.0, 1000, 1e-7, 20.8524, 21.9343),
    (50.0, 20, 1e-5, 0.3017, 0.3327),
]


@pytest.mark.parametrize(("noise", "rounds", "delta", "exact", "bound"), GOLDEN)
def test_equal_to_an_independent_accountant(noise, rounds, delta, exact, bound):
    epsilon = composed_epsilon(noise, rounds, delta)
    assert epsilon == pytest.approx(exact, rel=1e-3)
    assert epsilon < bound


def test_what_flower_takes_by_hand():
    # sqrt(2 ln 125000) = sqrt(2 * 11.73607) = 4.84481
    assert classical_noise_multiplier(1.0, 1e-5) == pytest.approx(4.84481, abs=1e-5)


@given(st.floats(0.01, 1.0), st.floats(1e-12, 0.1))
def test_up_to_one_it_is_enough(epsilon, delta):
    assert composed_epsilon(classical_noise_multiplier(epsilon, delta), 1, delta) <= epsilon


@given(st.floats(0.5, 100), st.integers(1, 50), st.floats(1e-9, 0.1))
def test_more_rounds_and_less_noise_promise_less(noise, rounds, delta):
    epsilon = composed_epsilon(noise, rounds, delta)
    assert composed_epsilon(noise, rounds + 1, delta) >= epsilon
    assert composed_epsilon(noise * 2, rounds, delta) <= epsilon
    assert composed_epsilon(noise, rounds, delta / 2) >= epsilon


def test_nothing_was_released():
    assert composed_epsilon(1.0, 0, 1e-5) == 0.0


def test_what_promises_nothing_is_infinite():
    assert composed_epsilon(0.01, 1, 1e-5) == math.inf
