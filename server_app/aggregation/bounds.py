"""How large the values of an update may be."""

import math

import numpy as np

LIMIT = 2.0**20
"""A network's weights stay far below this; larger ones would do harm to the model, finite or not."""


def largest(array: np.ndarray) -> float:
    """The largest magnitude in an array: infinite if a value isn't finite, 0 if there is none.

    Args:
        array: Floating point, any shape.
    """
    if array.size == 0:
        return 0.0
    found = max(float(np.maximum.reduce(array, axis=None)), -float(np.minimum.reduce(array, axis=None)))
    return math.inf if math.isnan(found) else found
