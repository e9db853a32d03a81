"""Promises: the tables of the published networks."""

import pytest
import torch

from fedvsr_core.layers.positions import relative_position_index, sine_positions


@pytest.mark.parametrize(("window", "channels"), [((2, 4, 4), 16), ((2, 8, 8), 120), ((2, 3, 5), 24)])
def test_tables_equal_golden(golden_tensors, window, channels):
    tensors, name = golden_tensors("vrt_tables"), "x".join(map(str, window))
    index = relative_position_index(window)
    assert index.dtype == torch.int64
    assert torch.equal(index, tensors[f"relative_position_index.{name}"].long())
    sine = sine_positions(*window[1:], channels)
    torch.testing.assert_close(sine, tensors[f"position_bias.{name}.dim{channels}"], rtol=0, atol=2e-6)


def test_displacements_by_hand():
    # Two pixels in a row: a key to the right of the query is -1, itself 0, to the left +1; counted from 0.
    assert relative_position_index((1, 1, 2)).tolist() == [[1, 0], [2, 1]]
