"""Promises: BasicVSR from one frame on, in sizes that make sense; its numbers are in test_published."""

import pytest
import torch

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.models.basicvsr import BasicVSR


def test_an_untrained_network_stays_near_bilinear():
    torch.manual_seed(0)
    model, low = BasicVSR(num_feat=8, num_block=2), torch.full((1, 3, 3, 8, 8), 0.5)
    with torch.no_grad():
        assert (model(low) - 0.5).abs().max() < 0.3


def test_time_reversed_with_its_directions_swapped():
    torch.manual_seed(0)
    model = BasicVSR(num_feat=4, num_block=1).double().eval()
    low = torch.rand(1, 3, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(low)
        model.backward_trunk, model.forward_trunk = model.forward_trunk, model.backward_trunk
        model.fusion.weight.copy_(model.fusion.weight.roll(4, dims=1))
        torch.testing.assert_close(model(low.flip(1)), before.flip(1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("argument", ["num_feat", "num_block"])
def test_sizes_below_one(argument):
    with pytest.raises(ConfigurationError, match=r"^num_feat and num_block must be at least 1, got .*0"):
        BasicVSR(**{"num_feat": 4, "num_block": 1, argument: 0})
