"""Promises: what travels comes back equal, and what doesn't travel keeps the receiver's value."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from torch import nn

from fedvsr_core.flower.arrays import (
    record_from_arrays,
    size_bytes,
    to_arrays,
    to_record,
    to_state,
    travels,
)

ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st_numpy.arrays(st.sampled_from(["float16", "float32", "float64"]), st_numpy.array_shapes(min_dims=0)),
    max_size=4,
)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float16, True),
        (torch.float32, True),
        (torch.float64, True),
        (torch.int64, False),
        (torch.bool, False),
        (torch.uint8, False),
    ],
)
def test_only_floats_travel(dtype, expected):
    assert travels(torch.zeros(1, dtype=dtype)) is expected


@given(ARRAYS)
def test_arrays_come_back_as_they_were(arrays):
    back = to_arrays(record_from_arrays(arrays))
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()  # NaN and -0.0 too


def test_a_number_is_an_array_without_axes():
    record = record_from_arrays({"scale": np.float32(3)})
    assert to_arrays(record)["scale"].shape == ()
    assert record["scale"].dtype == "float32"


def test_a_state_dict_comes_back():
    torch.manual_seed(0)
    sent, received = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    sent(torch.randn(2, 3, 4, 4))
    received.num_batches_tracked += 41
    record = to_record(sent.state_dict())
    assert set(record) == {"weight", "bias", "running_mean", "running_var"}
    received.load_state_dict(to_state(record, received.state_dict()))
    for name in record:
        torch.testing.assert_close(received.state_dict()[name], sent.state_dict()[name], rtol=0, atol=0)
    assert received.num_batches_tracked == 41  # its own, not 1


def test_what_was_sent_doesn_t_change_with_the_model():
    weight = torch.ones(2)
    record = to_record({"weight": weight})
    weight += 1
    assert to_arrays(record)["weight"].tolist() == [1, 1]


def test_what_was_received_can_be_trained():
    state = to_state(to_record({"weight": torch.ones(2)}), {"weight": torch.zeros(2)})
    state["weight"] += 1
    assert state["weight"].tolist() == [2, 2]


def test_a_view_travels_whole_and_in_order():
    transposed = torch.arange(6.0).view(2, 3).T
    assert to_arrays(to_record({"weight": transposed}))["weight"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_parameter_that_is_learned_travels():
    assert to_arrays(to_record({"weight": nn.Parameter(torch.ones(1))}))["weight"].tolist() == [1]


def test_size_is_what_goes_over_the_wire():
    # 1000 float32 and 500 float64 are 4000 and 4000 bytes; numpy's header takes 128 bytes each
    record = record_from_arrays({"a": np.zeros(1000, np.float32), "b": np.zeros(500)})
    assert size_bytes(record) == 2 * (4000 + 128)
