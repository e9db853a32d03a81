"""Promises: frames of four times the size, of features of any width."""

import torch

from fedvsr_core.layers.upsample import bilinear_up, upsample, upsampling_layers


def test_shape_and_published_sizes():
    layers = upsampling_layers(6)
    assert [tuple(layer.weight.shape[:2]) for layer in layers] == [(24, 6), (256, 6), (64, 64), (3, 64)]
    assert upsample(torch.zeros(2, 6, 5, 7), *layers).shape == (2, 3, 20, 28)


def test_a_ramp_by_hand():
    # Four positions in each pixel, centres 1/8, 3/8, 5/8, 7/8 of its width; the edge is repeated.
    ramp = torch.tensor([0.0, 8.0]).view(1, 1, 1, 2)
    assert bilinear_up(ramp)[0, 0, 0].tolist() == [0, 0, 1, 3, 5, 7, 8, 8]
