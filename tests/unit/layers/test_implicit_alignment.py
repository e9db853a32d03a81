"""Promises: IART's alignment, at the border and between pixels too."""

import pytest
import torch

from fedvsr_core.layers.implicit_alignment import ImplicitAlignment
from tests.unit.golden import assert_golden


@pytest.mark.parametrize(("case", "width", "heads"), [("a", 24, 3), ("b", 120, 6)])
def test_equals_golden(golden_tensors, case, width, heads):
    tensors = golden_tensors("component_implicit_alignment")
    align = ImplicitAlignment(width, heads)
    weights = {
        n.removeprefix(f"{case}.sd."): tensor for n, tensor in tensors.items() if n.startswith(f"{case}.sd.")
    }
    for name in ("position_bias", "window_idx_offset"):
        torch.testing.assert_close(align.state_dict()[name], weights[name], rtol=0, atol=1e-5)
    align.load_state_dict(weights)
    flow = tensors[f"{case}.flow_hw2"].permute(0, 3, 1, 2)
    aligned = align(tensors[f"{case}.y_source"], tensors[f"{case}.x_target"], flow)
    assert_golden(aligned, tensors, f"{case}.out", atol=1e-4)


def test_without_a_query_it_is_the_mean_of_the_four_pixels():
    # Equal logits weigh the 2 x 2 pixels below and right of the point alike; outside, the border again.
    align = ImplicitAlignment(4, 1).requires_grad_(requires_grad=False)
    align.q.weight.zero_()
    align.q.bias.zero_()
    align.v.weight.copy_(torch.eye(4))
    align.v.bias.copy_(-align.position_bias.mean(dim=(0, 1)))
    source = torch.arange(12.0).view(1, 1, 3, 4).expand(1, 4, 3, 4)
    flow = torch.tensor([1.25, -1.0]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    aligned = align(source, torch.zeros(1, 4, 3, 4), flow)
    # Columns 1|2, 2|3, 3|3, 3|3; rows 0|0, 0|1, 1|2 of values 4 row + column.
    row, column = torch.tensor([0.0, 2.0, 6.0])[:, None], torch.tensor([1.5, 2.5, 3.0, 3.0])
    torch.testing.assert_close(aligned[0, 2], row + column)


def test_the_flow_gets_a_gradient():
    torch.manual_seed(0)
    align, flow = ImplicitAlignment(8, 2), torch.full((1, 2, 4, 4), 0.3, requires_grad=True)
    align(torch.rand(1, 8, 4, 4), torch.rand(1, 8, 4, 4), flow).square().sum().backward()
    assert flow.grad.abs().min() > 0
