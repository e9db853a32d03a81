"""Trained weights as float16 differences from the global model: half the bytes of a reply."""

import numpy as np
from flwr.app import Array, ArrayRecord

from fedvsr_core.errors import ShapeError
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


def from_differences(received: ArrayRecord, start: ArrayRecord) -> ArrayRecord:
    """Undo `to_differences`; what can't be one of its arrays stays as it is, for the receiver to refuse."""
    return ArrayRecord({name: _restored(array, start.get(name)) for name, array in received.items()})


def _difference(array: Array, start: Array) -> Array:
    after, before = view(array), view(start)
    if after.dtype.kind != "f" or after.dtype.itemsize <= 2:
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        difference = np.asarray((after - before) * SCALE, np.float16)
    return Array(difference) if np.isfinite(difference).all() else array


def _restored(array: Array, start: Array | None) -> Array:
    try:
        difference = view(array)
    except ShapeError:
        return array
    if start is None or difference.dtype != np.float16:
        return array
    before = view(start)
    if before.dtype.itemsize <= 2 or difference.shape != before.shape:
        return array
    return Array(np.asarray(before + difference / SCALE, before.dtype))
