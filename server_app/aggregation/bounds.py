"""How large the values of an update are, and may be."""

import math

import numpy as np

LIMIT = 2.0**20
"""A network's weights stay far below this; larger ones would do harm to the model, finite or not."""


_CHUNK = 1 << 16
"""Elements that stay in a core's cache while they are looked at."""


def measure(array: np.ndarray, origin: np.ndarray) -> tuple[float, float]:
    """The largest magnitude in an array, and its squared distance from another, in one pass over both.

    Args:
        array: Floating point, any shape.
        origin: Of the same shape, or of none.

    Returns:
        The first as `largest`; the second means nothing where the first is infinite.
    """
    values = array.reshape(-1)
    start = np.broadcast_to(origin.reshape(-1), values.shape)
    magnitude = square = 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        for first in range(0, values.size, _CHUNK):
            chunk = values[first : first + _CHUNK]
            difference = np.subtract(chunk, start[first : first + _CHUNK], dtype=np.float32)
            square += float(np.dot(difference, difference))
            magnitude = max(magnitude, largest(chunk))
    return magnitude, square


def largest(array: np.ndarray) -> float:
    """The largest magnitude in an array: infinite if a value isn't finite, 0 if there is none.

    Args:
        array: Floating point, any shape.
    """
    if array.size == 0:
        return 0.0
    magnitude = max(float(np.maximum.reduce(array, axis=None)), -float(np.minimum.reduce(array, axis=None)))
    return math.inf if math.isnan(magnitude) else magnitude
