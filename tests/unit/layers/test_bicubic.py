"""Promises: the layer interpolates as MATLAB's imresize does, borders too, and lets gradients through."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvsr_core.data import degradation
from fedvsr_core.layers.bicubic import bicubic_up

SIZES = st.integers(1, 12)


def noise(height, width, seed):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def distance(frame, scale, dtype):
    """How far the layer is from the rounded numpy path, in grey levels; half of one is rounding."""
    low = torch.from_numpy(frame).permute(2, 0, 1)[None].to(dtype) / 255
    ours = (bicubic_up(low, scale)[0] * 255).clamp(0, 255).permute(1, 2, 0).numpy()
    return abs(ours - degradation.bicubic_up(frame, scale)).max()


@settings(deadline=None)
@given(SIZES, SIZES, st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_it_equals_the_numpy_path_at_every_size(height, width, scale, seed):
    assert distance(noise(height, width, seed), scale, torch.float64) <= 0.5 + 1e-9


@pytest.mark.parametrize("size", [(24, 32), (37, 53), (64, 1), (2, 3)], ids=str)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_single_precision_is_enough(size, scale):
    assert distance(noise(*size, 1), scale, torch.float32) <= 0.5 + 1e-3


def test_a_row_by_hand():
    # x2 of 0 1: centres at -0.25, 0.25, 0.75, 1.25. MATLAB's kernel (a = -0.5) at 0.25, 0.75, 1.25, 1.75 is
    # 0.8671875, 0.2265625, -0.0703125, -0.0234375. Mirrored, the row is 1 0 0 1 1 0, so at -0.25 the taps
    # -2, -1, 0, 1 see 1 0 0 1: -0.0234375 - 0.0703125; at 0.25 the taps -1 .. 2 see 0 0 1 1.
    row = bicubic_up(torch.tensor([[[[0.0, 1.0]]]]).double(), 2)[0, 0, 0]
    first, second = -0.0234375 - 0.0703125, 0.2265625 - 0.0234375
    expected = torch.tensor([first, second, 1 - second, 1 - first], dtype=torch.float64)
    torch.testing.assert_close(row, expected, rtol=0, atol=1e-12)


def test_scale_one_changes_nothing():
    low = torch.rand(1, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(bicubic_up(low, 1), low, rtol=0, atol=1e-6)


@given(st.floats(-10, 10), SIZES, SIZES)
def test_a_flat_image_stays_flat(value, height, width):
    high = bicubic_up(torch.full((1, 1, height, width), value, dtype=torch.float64), 4)
    torch.testing.assert_close(high, torch.full((1, 1, 4 * height, 4 * width), value, dtype=torch.float64))


def test_images_and_channels_do_not_mix():
    low = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one_by_one = [bicubic_up(low[i : i + 1, c : c + 1], 3) for i in range(2) for c in range(3)]
    torch.testing.assert_close(bicubic_up(low, 3), torch.cat(one_by_one).view(2, 3, 15, 18))


def test_gradients():
    low = torch.rand(1, 1, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda image: bicubic_up(image, 2), low.requires_grad_())
