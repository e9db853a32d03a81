"""Promises: windows and their masks as the published networks have them; cutting and merging lose nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.layers.windows import fitted, merge, partition, shift_mask

CPU = torch.device("cpu")


def test_an_axis_that_fits_is_one_window_without_shift():
    assert fitted((6, 8, 9), (6, 8, 8)) == ((6, 8, 8), (0, 0, 4))
    assert fitted((3, 5, 64), (6, 8, 8)) == ((3, 5, 8), (0, 0, 4))
    assert fitted((7, 64, 64), (1, 8, 8)) == ((1, 8, 8), (0, 4, 4))


@given(st.tuples(*[st.integers(1, 3)] * 3), st.tuples(*[st.integers(1, 4)] * 3), st.integers(1, 2))
def test_merging_undoes_cutting(counts, window, batch):
    size = tuple(count * long for count, long in zip(counts, window, strict=True))
    x = torch.arange(batch * size[0] * size[1] * size[2] * 2.0).view(batch, *size, 2)
    tokens = partition(x, window)
    assert tokens.shape == (batch * counts[0] * counts[1] * counts[2], window[0] * window[1] * window[2], 2)
    assert torch.equal(merge(tokens, window, size), x)


def test_tokens_run_along_columns_first():
    x = torch.arange(16).view(1, 1, 4, 4, 1)
    assert partition(x, (1, 2, 2))[:2, :, 0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]


@pytest.mark.parametrize(
    ("size", "window", "shift"),
    [
        ((4, 8, 8), (2, 4, 4), (1, 2, 2)),
        ((4, 4, 8), (4, 4, 4), (0, 0, 2)),
        ((2, 6, 10), (1, 3, 5), (0, 1, 2)),
    ],
)
def test_masks_equal_golden(golden_tensors, size, window, shift):
    name = f"mask.{'x'.join(map(str, size))}.w{'x'.join(map(str, window))}.s{'x'.join(map(str, shift))}"
    assert torch.equal(shift_mask(size, window, shift, CPU), golden_tensors("vrt_tables")[name].float())
