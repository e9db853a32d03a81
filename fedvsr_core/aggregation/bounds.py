"""Whether an array may enter a sum."""

import numpy as np

LIMIT = 2.0**20
"""A network's weights stay far below this; larger ones would do harm to the model, finite or not."""


def within(array: np.ndarray, limit: float = LIMIT) -> bool:
    """Whether every element is finite and below ``limit`` in magnitude; so for an empty array.

    Args:
        array: Floating point, any shape.
        limit: > 0.
    """
    return array.size == 0 or (
        float(array.max()) < limit and float(array.min()) > -limit
    )  # NaN passes neither
