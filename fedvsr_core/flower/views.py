"""A received array, seen without copying or trusting it."""

import re

import numpy as np
from flwr.app import Array

from fedvsr_core.errors import ShapeError

_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|](?:b1|[iu][1248]|f[248]))', 'fortran_order': (False|True), "
    rb"'shape': \((|\d{1,15},|\d{1,15}(?:, \d{1,15}){1,31})\), \} *\n",
    re.DOTALL,
)
"""How numpy begins the file of a numeric array, little-endian or of single bytes."""


def view(array: Array) -> np.ndarray:
    """Read an array in place: no copy, no evaluation of what the sender wrote, no memory that it asks for.

    Args:
        array: As it came from the wire.

    Returns:
        A read-only view of its bytes. Its shape and dtype are those of the data; what ``array`` says of itself may
        differ, and isn't looked at.

    Raises:
        ShapeError: If the bytes aren't a complete array of numbers in numpy's file format, version 1.
    """
    header = _HEADER.match(array.data) if isinstance(array.data, bytes) else None
    if header is None:
        raise ShapeError("an array must come as bytes in numpy's file format, and its header doesn't look like it")
    dtype = np.dtype(header[1].decode())
    shape = tuple(int(size) for size in header[3].split(b",") if size.strip())
    count = 1
    for size in shape:
        count *= size
    if len(array.data) - header.end() != count * dtype.itemsize:
        raise ShapeError(
            f"an array of shape {shape} and type {dtype} must have {count * dtype.itemsize} bytes,"
            f" got {len(array.data) - header.end()}"
        )
    flat = np.frombuffer(array.data, dtype, count, header.end())
    return flat.reshape(shape, order="F" if header[2] == b"True" else "C")
