"""Trained weights as float16 differences from the global model: half the bytes of an upload."""

import numpy as np
from flwr.app import Array, ArrayRecord

from fedvsr_core.flower.views import view

SCALE = np.float32(2.0**10)
"""Differences are sent times this. A float16 then holds what lies between 6e-8 and 64 to three digits."""


def to_differences(trained: ArrayRecord, start: ArrayRecord) -> ArrayRecord:
    """Replace arrays by what was learned, in float16.

    An array whose differences float16 can't hold, and one that is no larger than float16 itself, stays as it
    is: the receiver sees by the dtype which is which.

    Args:
        trained: The model after training.
        start: The model before, which the receiver has, too; same names and shapes.
    """
    return ArrayRecord({name: _difference(array, start[name]) for name, array in trained.items()})


def from_difference(received: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Undo `to_differences` for one array; what isn't a difference stays as it is.

    Args:
        received: A float16 difference, or anything else.
        before: The array before training.
    """
    if received.dtype != np.float16 or before.dtype.itemsize <= 2 or received.shape != before.shape:
        return received
    return np.asarray(before + received / SCALE, before.dtype)


def _difference(array: Array, start: Array) -> Array:
    after, before = view(array), view(start)
    if after.dtype.kind != "f" or after.dtype.itemsize <= 2:
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        difference = np.asarray((after - before) * SCALE, np.float16)
    return Array(difference) if np.isfinite(difference).all() else array
