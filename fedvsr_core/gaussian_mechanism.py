"""The privacy of Gaussian noise, and the noise for a privacy: exact bounds, not estimates."""

import math

import torch

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


def noise_multiplier(epsilon: float, delta: float) -> float:
    """The least noise that gives one release (epsilon, delta), for any epsilon.

    The usual formula, ``sqrt(2 ln(1.25 / delta)) / epsilon``, is proven up to an epsilon of 1. It takes more
    noise than is needed there, and less from an epsilon of 8 or so on.

    Args:
        epsilon: > 0.
        delta: In (0, 1).

    Returns:
        Standard deviation in units of the largest distance, rounded up by at most 1e-9 of it.

    Source: the analytic Gaussian mechanism (Balle and Wang, ICML 2018, theorem 8), solved by bisection.
    """
    low = high = 1.0  # of the ratio of distance and noise
    while _delta(epsilon, low) > delta:
        low /= 2
    while _delta(epsilon, high) <= delta:
        high *= 2
    while high - low > 1e-9 * low:
        middle = (low + high) / 2
        low, high = (low, middle) if _delta(epsilon, middle) > delta else (middle, high)
    return 1 / low


def _delta(epsilon: float, ratio: float) -> float:
    """Of one release, whose distance is so many standard deviations of its noise.

    That is ``P(x) - exp(epsilon) P(-y)`` with ``x = ratio / 2 - epsilon / ratio``, ``y = x + 2 epsilon /
    ratio`` and the normal distribution function P. Since ``y^2 = x^2 + 2 epsilon``, the second term is
    ``exp(-x^2 / 2) erfcx(y / sqrt(2)) / 2``, which no epsilon lets overflow.
    """
    x, y = ratio / 2 - epsilon / ratio, ratio / 2 + epsilon / ratio
    scaled = float(torch.special.erfcx(torch.tensor(y / math.sqrt(2), dtype=torch.float64)))
    return (math.erfc(-x / math.sqrt(2)) - math.exp(-x * x / 2) * scaled) / 2
