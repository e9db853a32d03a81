"""The epsilon of many rounds of noise is exact, and so is the noise for an epsilon."""

import math

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.gaussian_mechanism import composed_epsilon, noise_multiplier

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


# From Google's dp-accounting 0.6.0, in an environment of its own: pld.privacy_loss_mechanism's
# GaussianPrivacyLoss.from_privacy_guarantee(DifferentialPrivacyParameters(epsilon, delta), sensitivity=1).
NOISE = [
    (0.1, 1e-5, 30.7495661335778),
    (0.1, 1e-10, 54.20629585994867),
    (1, 1e-3, 2.57465702390839),
    (1, 1e-5, 3.730631664679545),
    (1, 1e-10, 5.867777776593884),
    (2, 1e-5, 1.9938124775113506),
    (10, 1e-3, 0.4060596315429392),
    (10, 1e-5, 0.49988864392129184),
    (20, 1e-5, 0.29004146352477017),
    (20, 1e-10, 0.37514549644291406),
    (50, 1e-5, 0.14976065311842804),
    (100, 1e-5, 0.09466994157034024),
    (500, 1e-3, 0.034827405550543256),
    (500, 1e-5, 0.03613593832742393),
]


@pytest.mark.parametrize(("epsilon", "delta", "noise"), NOISE)
def test_the_noise_of_an_independent_implementation(epsilon, delta, noise):
    ours = noise_multiplier(epsilon, delta)
    assert ours == pytest.approx(noise, rel=1e-5)  # theirs is searched for less closely
    assert ours <= noise * (1 + 1e-9)


def delta_of(epsilon, noise):
    """The definition, with numbers of 60 digits."""
    with mpmath.workdps(60):
        ratio, epsilon = 1 / mpmath.mpf(noise), mpmath.mpf(epsilon)
        x, y = ratio / 2 - epsilon / ratio, ratio / 2 + epsilon / ratio
        return mpmath.ncdf(x) - mpmath.exp(epsilon) * mpmath.ncdf(-y)


@given(st.floats(1e-3, 1e3), st.floats(1e-12, 0.1))
def test_it_keeps_its_word_for_any_epsilon_and_wastes_nothing(epsilon, delta):
    noise = noise_multiplier(epsilon, delta)
    assert delta_of(epsilon, noise) <= delta * (1 + 1e-9)
    assert delta_of(epsilon, noise * (1 - 1e-6)) > delta


@pytest.mark.parametrize(("epsilon", "delta"), [(1e-9, 1e-5), (1e9, 1e-5), (1.0, 1e-100), (1e9, 0.999)])
def test_whatever_a_reply_may_say_has_a_figure(epsilon, delta):
    assert 0 < noise_multiplier(epsilon, delta) < math.inf


@pytest.mark.parametrize(("epsilon", "given"), [(10, 2.3e-5), (20, 1.5e-3), (50, 0.59)])
def test_the_usual_formula_does_not_keep_its_word(epsilon, given):
    usual = math.sqrt(2 * math.log(1.25e5)) / epsilon
    assert float(delta_of(epsilon, usual)) == pytest.approx(given, rel=0.05)
    assert noise_multiplier(epsilon, 1e-5) > usual


@given(st.floats(0.01, 90.0), st.floats(1e-12, 0.1))
def test_one_round_makes_the_epsilon_that_the_noise_was_for(epsilon, delta):
    assert composed_epsilon(noise_multiplier(epsilon, delta), 1, delta) == pytest.approx(epsilon, abs=2e-6)


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
