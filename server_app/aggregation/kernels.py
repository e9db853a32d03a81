"""The loops over every value of every update, compiled: one pass over memory, and without Python's lock.

They are compiled at their first call, in about a second. Nothing is reordered or contracted: the results are,
to the bit, those of the operations as they are written.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[Any]  # float32 or float64


@njit(nogil=True)
def weigh(values: Values, weights: Floats, out: Floats) -> None:
    """Write the sum of the rows, each times its weight.

    Args:
        values: (rows, columns).
        weights: (rows,).
        out: (columns,).
    """
    out[:] = 0.0
    for row in range(values.shape[0]):
        for column in range(out.size):
            out[column] += weights[row] * values[row, column]


@njit(nogil=True)
def weigh_middle(values: Values, weights: Floats, cut: int, out: Floats) -> None:
    """Write the weighted mean of each column without its smallest and largest values.

    Args:
        values: (rows, columns).
        weights: (rows,), > 0.
        cut: How many values to leave out at each end; less than half of the rows.
        out: (columns,).
    """
    rows = values.shape[0]
    order = np.empty(rows, np.int64)
    for column in range(out.size):
        for row in range(rows):  # insertion sort: of few rows, and without memory of its own
            place = row
            while place > 0 and values[order[place - 1], column] > values[row, column]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = row
        total = weight = 0.0
        for place in range(cut, rows - cut):
            total += weights[order[place]] * values[order[place], column]
            weight += weights[order[place]]
        out[column] = total / weight


@njit(nogil=True)
def project(values: Values, origin: Values, scales: Floats, total: Floats, dots: Floats) -> float:
    """Add up the rows' scaled differences from a point, and multiply each difference with the sum.

    Args:
        values: (rows, columns).
        origin: (columns,).
        scales: (rows,).
        total: (columns,), overwritten.
        dots: (rows,), the products of the scaled differences with the sum.

    Returns:
        The square of the sum.
    """
    total[:] = 0.0
    for row in range(values.shape[0]):
        for column in range(total.size):
            total[column] += scales[row] * (values[row, column] - origin[column])
    square = 0.0
    for column in range(total.size):
        square += total[column] * total[column]
    for row in range(values.shape[0]):
        dot = 0.0
        for column in range(total.size):
            dot += (values[row, column] - origin[column]) * total[column]
        dots[row] = scales[row] * dot
    return square
