"""Promises: the sender's array without a copy, or a refusal; nothing it asks for is run or allocated."""

import numpy as np
import pytest
from flwr.app import Array
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedvsr_core.errors import ShapeError
from fedvsr_core.flower.views import view

TYPES = st.one_of(
    hnp.floating_dtypes(endianness="<"),
    hnp.integer_dtypes(endianness="<"),
    hnp.unsigned_integer_dtypes(endianness="<"),
)


def header(descr="<f4", order="False", shape="(2,)", prefix=b"\x93NUMPY\x01\x00"):
    text = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return prefix + len(text).to_bytes(2, "little") + text


def sent(data):
    return Array("float32", (2,), "numpy.ndarray", data)


@settings(deadline=None)
@given(st.data(), hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
def test_reads_what_numpy_writes(data, shape):
    array = data.draw(hnp.arrays(data.draw(TYPES | st.just(np.dtype(bool))), shape))
    array = np.asarray(np.asfortranarray(array)) if data.draw(st.booleans()) else array
    seen = view(Array(array))
    assert (seen.dtype, seen.shape) == (array.dtype, array.shape)
    assert seen.tobytes() == array.tobytes()


def test_copies_nothing_and_can_t_be_written():
    array = Array(np.arange(6.0))
    seen = view(array)
    assert np.shares_memory(seen, np.frombuffer(array.data, np.uint8))
    assert not seen.flags.writeable


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        header(),
        header() + bytes(7),
        header() + bytes(9),
        header(shape="(10000000000000,)") + bytes(8),
        header(shape="(99999999999999999999,)") + bytes(8),
        header(shape="(-2,)") + bytes(8),
        header(shape="(0, 999999999999999, 999999999999999)"),
        header(descr="|O") + bytes(8),
        header(descr="<U1") + bytes(8),
        header(descr=">f4") + bytes(8),
        header(descr="<f3") + bytes(8),
        header(order="__import__('os')") + bytes(8),
        header(prefix=b"\x93NUMPY\x02\x00") + bytes(8),
        header()[:-1] + bytes(8),
        np.arange(2, dtype="f4").tobytes(),
    ],
    ids=range(17),
)
def test_refuses_everything_else(data):
    with pytest.raises(ShapeError):
        view(sent(data))


def test_what_the_header_claims_isn_t_allocated():
    with pytest.raises(
        ShapeError, match=r"shape \(1000000000000,\) and type float32 must have 4000000000000 bytes, got 8"
    ):
        view(sent(header(shape="(1000000000000,)") + bytes(8)))


def test_refuses_what_isn_t_bytes():
    array = Array(np.zeros(2))
    array.data = None
    with pytest.raises(ShapeError, match="must come as bytes"):
        view(array)
