"""The loops over every value of every update, compiled: one pass over memory, and without Python's lock.

They are compiled at their first call, in about a second. Nothing is reordered or contracted: the results are,
to the bit, those of the operations as they are written.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Values = npt.NDArray[Any]  # float32 or float64


@njit(nogil=True)
def bits(value: float) -> int:
    """The bits of a float64 as an int64."""
    return np.float64(value).view(np.int64)  # type: ignore[return-value]


@njit(nogil=True)
def add_four(
    a: Values, b: Values, c: Values, d: Values, factors: Floats, anchor: float, total: Integers
) -> None:
    """Add to a sum the bits of ``factor * value + anchor``, for each of four arrays.

    Four at once, since a sum is larger than caches: it is read and written once.

    Args:
        a: (values,), as the next three.
        b: The second.
        c: The third.
        d: The fourth.
        factors: (4,).
        anchor: See `RunningSums`.
        total: The sum, (values,).
    """
    for i in range(total.size):
        total[i] += (
            bits(factors[0] * a[i] + anchor)
            + bits(factors[1] * b[i] + anchor)
            + bits(factors[2] * c[i] + anchor)
            + bits(factors[3] * d[i] + anchor)
        )


@njit(nogil=True)
def weigh(totals: Integers, offsets: Integers, units: Floats, out: Values) -> None:
    """Write ``sum of (total - offset) * unit``.

    Args:
        totals: (sums, values).
        offsets: (sums,), what anchors have added.
        units: (sums,), what each sum counts in.
        out: (values,).
    """
    for i in range(out.size):
        value = 0.0
        for which in range(units.size):
            value += (totals[which, i] - offsets[which]) * units[which]
        out[i] = value
