"""Promises: the backbone of the published recurrent networks, near the identity at the start."""

import torch

from fedvsr_core.layers.residual import Backbone, ResidualBlock


def test_equals_golden(golden_tensors):
    tensors = golden_tensors("component_conv_residual_blocks")
    backbone = Backbone(11, 8, 2)
    backbone.load_state_dict(
        {n.removeprefix("sd."): tensor for n, tensor in tensors.items() if n.startswith("sd.")}
    )
    torch.testing.assert_close(backbone(tensors["x"]), tensors["out"], rtol=0, atol=1e-5)


def test_a_block_starts_near_the_identity():
    torch.manual_seed(0)
    x = torch.randn(1, 16, 9, 9)
    change = ResidualBlock(16)(x) - x
    assert 0 < change.std() < 0.05
