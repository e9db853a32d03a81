"""Promises: the published alignment, with the flows it hands on."""

import pytest
import torch

from fedvsr_core.layers.guided_alignment import GuidedAlignment
from tests.unit.golden import assert_golden

CASES = {
    0: {"width": 16, "window": (3, 3), "heads": 4, "groups": 8, "reach": 10.0},
    1: {"width": 12, "window": (5, 5), "heads": 6, "groups": 2, "reach": 10.0},
}


@pytest.mark.parametrize("case", CASES)
def test_equals_golden(golden_module, case):
    alignment = GuidedAlignment(**CASES[case])
    tensors = golden_module(alignment, f"rvrt_guided_deform_attn_{case}")
    features = {name: tensors[name].movedim(2, -1) for name in ("q", "k", "v", "warped1", "warped2")}
    found, flows = alignment(
        *(features[name] for name in ("q", "k", "v")),
        [features["warped1"], features["warped2"]],
        [tensors["flow1"], tensors["flow2"]],
    )
    assert_golden(found.movedim(-1, 2), tensors, "out", atol=1e-5)
    for number, flow in enumerate(flows, start=1):
        assert_golden(flow, tensors, f"updated_flow{number}", atol=1e-5)


def test_untrained_it_hands_on_the_flows_it_got():
    torch.manual_seed(0)
    alignment = GuidedAlignment(width=4, window=(3, 3), heads=2, groups=2, reach=10.0)
    x, flow = torch.randn(1, 2, 5, 6, 4), torch.randn(1, 2, 2, 5, 6)
    _, flows = alignment(x, x, x, [x, x], [flow, -flow])
    torch.testing.assert_close(flows[0], flow)
    torch.testing.assert_close(flows[1], -flow)
