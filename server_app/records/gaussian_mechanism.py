"""The privacy of noise that is added round after round: an exact bound, not an estimate."""

import math

MOST = 100.0
"""An epsilon beyond this promises nothing, and is said to be infinite."""


def composed_epsilon(noise_multiplier: float, rounds: int, delta: float) -> float:
    """The epsilon of all rounds together.

    Each round releases a vector with Gaussian noise. What is released may depend on all that was before, and
    the promise counts every round in full: none is made smaller for clients that weren't drawn.

    Args:
        noise_multiplier: Standard deviation of the noise, in units of the largest distance (L2) between what
            two neighbours would release without noise; > 0.
        rounds: Releases, >= 0.
        delta: Of all rounds together, in (0, 1).

    Returns:
        Epsilon, rounded up by at most 1e-6; infinite above `MOST`.

    Source: Gaussian mechanisms compose to one with ``1 / noise_multiplier**2`` added up (Dong, Roth and Su,
    Gaussian differential privacy, 2022, corollary 3.3), whose delta is known exactly (Balle and Wang, ICML
    2018, theorem 8).
    """
    if not rounds:
        return 0.0
    ratio = math.sqrt(rounds) / noise_multiplier
    low, high = 0.0, MOST
    if _delta(high, ratio) > delta:
        return math.inf
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if _delta(middle, ratio) > delta else (low, middle)
    return high


def classical_noise_multiplier(epsilon: float, delta: float) -> float:
    """What Flower's local mechanism takes for one release: ``sqrt(2 ln(1.25 / delta)) / epsilon``.

    Up to an epsilon of 1 that is enough (Dwork and Roth 2014, theorem A.1). Beyond, it may not be: what it
    really gives is for `composed_epsilon` to say.

    Args:
        epsilon: > 0.
        delta: In (0, 1).
    """
    return math.sqrt(2 * math.log(1.25 / delta)) / epsilon


def _delta(epsilon: float, ratio: float) -> float:
    return _normal(ratio / 2 - epsilon / ratio) - math.exp(epsilon) * _normal(-ratio / 2 - epsilon / ratio)


def _normal(value: float) -> float:
    """The standard normal distribution function."""
    return math.erfc(-value / math.sqrt(2)) / 2
