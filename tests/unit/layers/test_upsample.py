"""Promises: frames of each factor's size, of features of any width."""

import pytest
import torch
from torch import nn

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.layers.upsample import STEPS, add_upsampling, bilinear_up, upsample


def test_published_sizes():
    network = nn.Module()
    add_upsampling(network, 6, 4)
    assert {name: tuple(layer.weight.shape[:2]) for name, layer in network.named_children()} == {
        "upconv1": (24, 6),
        "upconv2": (256, 6),
        "conv_hr": (64, 64),
        "conv_last": (3, 64),
    }


@pytest.mark.parametrize("scale", STEPS)
def test_shape(scale):
    network = nn.Module()
    add_upsampling(network, 6, scale)
    assert upsample(torch.zeros(2, 6, 5, 7), network, scale).shape == (2, 3, scale * 5, scale * 7)


def test_another_factor():
    with pytest.raises(ConfigurationError, match=r"^scale must be 2, 3, 4, 8, got 5$"):
        add_upsampling(nn.Module(), 6, 5)


def test_a_ramp_by_hand():
    # Four positions in each pixel, centres 1/8, 3/8, 5/8, 7/8 of its width; the edge is repeated.
    ramp = torch.tensor([0.0, 8.0]).view(1, 1, 1, 2)
    assert bilinear_up(ramp, 4)[0, 0, 0].tolist() == [0, 0, 1, 3, 5, 7, 8, 8]
