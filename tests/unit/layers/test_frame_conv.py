"""Promises: three-dimensional convolutions of single frames, and upscaling by 2, 3, 4 or 8."""

import pytest
import torch
from torch import nn

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.layers.frame_conv import FrameConv, Upsampler, resized


@pytest.mark.parametrize(("kernel", "stride", "groups"), [(3, 1, 1), (1, 1, 2), (3, 2, 1)])
def test_equals_the_convolution_in_three_dimensions(kernel, stride, groups):
    torch.manual_seed(0)
    ours, x = FrameConv(4, 6, kernel, stride=stride, groups=groups), torch.randn(2, 3, 8, 7, 4)
    expected = nn.Conv3d.forward(ours, x.movedim(-1, 1)).movedim(1, -1)
    torch.testing.assert_close(ours(x), expected)


@pytest.mark.parametrize(("scale", "names"), [(2, "0 5"), (3, "0 5"), (4, "0 5 10"), (8, "0 5 10 15")])
def test_upscaling(scale, names):
    upsampler = Upsampler(scale=scale, width=4)
    assert list(upsampler.keys()) == names.split()
    assert upsampler(torch.randn(1, 2, 3, 5, 4)).shape == (1, 2, 3 * scale, 5 * scale, 4)


@pytest.mark.parametrize("scale", [0, 5, 6])
def test_scales_that_shuffling_does_not_reach(scale):
    with pytest.raises(ConfigurationError, match=rf"^upscale must be 1, 3 or a power of 2, got {scale}$"):
        Upsampler(scale=scale, width=4)


def test_the_base_of_no_upscaling_is_the_input():
    x = torch.randn(1, 2, 3, 4, 4)
    assert resized(x, 1) is x
    assert resized(x, 3).shape == (1, 2, 3, 12, 12)
