"""A received array, seen without copying or trusting it."""

import math
import re

import numpy as np
from flwr.app import Array
from flwr.common.constant import SType

from fedvsr_core.errors import ShapeError

_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(?P<length>..)\{'descr': '(?P<dtype>[<|](?:b1|[iu][1248]|f[248]))', "
    rb"'fortran_order': (?P<columns>False|True), "
    rb"'shape': \((?P<shape>|\d{1,15},|\d{1,15}(?:, \d{1,15}){1,31})\), \} *\n",
    re.DOTALL,
)
"""How numpy begins the file of a numeric array, little-endian or of single bytes."""
_BEFORE_LENGTH_ENDS = 10  # bytes


def view(array: Array) -> np.ndarray:
    """Read an array in place: no copy, no evaluation of what the sender wrote, no memory that it asks for.

    Args:
        array: As it came from the wire.

    Returns:
        A read-only view of its bytes. Its shape and dtype are those of the data; what ``array`` says of
        itself may differ, and isn't looked at.

    Raises:
        ShapeError: If the bytes aren't a complete array of numbers in numpy's file format, version 1.
    """
    header = (
        _HEADER.match(array.data) if array.stype == SType.NUMPY and isinstance(array.data, bytes) else None
    )
    if header is None or int.from_bytes(header["length"], "little") != header.end() - _BEFORE_LENGTH_ENDS:
        raise ShapeError(
            "an array must come as bytes in numpy's file format, and its header doesn't look like it"
        )
    dtype = np.dtype(header["dtype"].decode())
    shape = tuple(int(size) for size in header["shape"].split(b",") if size.strip())
    size_bytes = math.prod(shape) * dtype.itemsize
    if len(array.data) - header.end() != size_bytes:
        raise ShapeError(
            f"an array of shape {shape} and type {dtype} must have {size_bytes} bytes,"
            f" got {len(array.data) - header.end()}"
        )
    flat = np.frombuffer(array.data, dtype, offset=header.end(), count=math.prod(shape))
    try:
        return flat.reshape(shape, order="F" if header["columns"] == b"True" else "C")
    except ValueError as error:  # an axis of size 0 together with axes too large to address
        raise ShapeError(f"an array can't have the shape {shape}: {error}") from error
