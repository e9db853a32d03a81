"""How far the noise of a site with differential privacy may take its update."""

import math

from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.gaussian_mechanism import noise_multiplier
from fedvsr_core.settings import Privacy

_TAIL = 6.0
"""In standard deviations of one parameter's noise: one honest update in 10^7 is longer."""


def private_norm(privacy: Privacy, sent: NamedArrays) -> float:
    """The largest norm of an honest update with the noise that a run expects.

    It follows from the run's settings alone, so what a reply says of its privacy can't raise it.

    Args:
        privacy: The run's.
        sent: The arrays that clients start from.

    Returns:
        The norm; 0 if the run expects no noise.

    Source: the norm of n normal numbers exceeds sqrt(n) + t with a probability below exp(-t^2 / 2).
    """
    epsilon = privacy.least_epsilon or privacy.epsilon
    if epsilon is None:
        return 0.0
    parameters = sum(array.size for array in sent.values())
    deviation = 2 * privacy.clipping_norm * noise_multiplier(epsilon, privacy.delta)
    return privacy.clipping_norm + deviation * (math.sqrt(parameters) + _TAIL)
