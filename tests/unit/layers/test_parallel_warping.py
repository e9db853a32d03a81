"""Promises: the published alignment of one to three neighbours; frames without neighbours get zeros."""

import pytest
import torch

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.layers.parallel_warping import ParallelWarping
from tests.unit.golden import assert_golden

CASES = {
    "pa2": {"width": 16, "neighbours": 1, "groups": 4, "reach": 10.0},
    "pa4": {"width": 16, "neighbours": 2, "groups": 8, "reach": 5.0},
    "pa6": {"width": 24, "neighbours": 3, "groups": 9, "reach": 1.25},
}


@pytest.mark.parametrize("case", CASES)
def test_equals_golden(golden_module, case):
    warping = ParallelWarping(**CASES[case])
    tensors = golden_module(warping, f"vrt_deform_align_{case}")
    neighbours = [tensors[f"x{number}"] for number in range(CASES[case]["neighbours"])]
    flows = [tensors[f"flow{number}"] for number in range(CASES[case]["neighbours"])]
    found = warping.align(neighbours, tensors["current"], flows)
    assert_golden(found, tensors, "out", atol=2e-5)


def test_untrained_it_samples_where_the_flow_points():
    # Offsets start at the flow, and every tap counts half: a kernel of 2 in its centre copies the neighbour.
    warping = ParallelWarping(width=1, neighbours=1, groups=1, reach=10.0).requires_grad_(False)
    warping.weight.zero_()[..., 1, 1] = 2
    x = torch.rand(1, 3, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    flow = torch.tensor([1.0, -1.0]).view(1, 1, 2, 1, 1).expand(1, 2, 2, 4, 5)  # right, up
    found = warping(x, [flow])
    torch.testing.assert_close(found[:, :2, :, 1:, :-1], x[:, 1:, :, :-1, 1:])
    assert not found[:, :2, :, 0].any()
    assert not found[:, 2].any()


def test_neighbours_behind_the_end_are_zero_with_zero_flow():
    torch.manual_seed(0)
    warping = ParallelWarping(width=4, neighbours=2, groups=2, reach=1.0)
    torch.nn.init.normal_(warping.conv_offset[-1].weight, std=0.1)
    x, flows = torch.randn(1, 3, 4, 6, 6), [torch.randn(1, 2, 2, 6, 6), torch.randn(1, 1, 2, 6, 6)]
    nothing = torch.zeros(1, 4, 6, 6)
    expected = [
        warping.align([x[:, 1], x[:, 2]], x[:, 0], [flows[0][:, 0], flows[1][:, 0]]),
        warping.align([x[:, 2], nothing], x[:, 1], [flows[0][:, 1], nothing[:, :2]]),
        nothing,
    ]
    torch.testing.assert_close(warping(x, flows), torch.stack(expected, dim=1), rtol=0, atol=1e-5)


def test_numbers_that_do_not_divide_each_other():
    with pytest.raises(
        ConfigurationError, match=r"^3 neighbours must divide the width, 16, and deformable_groups"
    ):
        ParallelWarping(width=16, neighbours=3, groups=3, reach=1.0)
