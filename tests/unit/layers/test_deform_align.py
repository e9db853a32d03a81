"""Promises: the deformable alignment of BasicVSR++; untrained, it follows the flow."""

import torch

from fedvsr_core.layers.deform_align import SecondOrderDeformAlign
from fedvsr_core.layers.warp import flow_warp
from tests.unit.golden import assert_golden


def test_equals_golden(golden_tensors):
    tensors = golden_tensors("component_second_order_deform_align")
    align = SecondOrderDeformAlign(8, 10)
    align.load_state_dict({n.removeprefix("a.sd."): tensor for n, tensor in tensors.items() if ".sd." in n})
    inputs = (tensors[f"a.{name}"] for name in ("x", "extra_feat", "flow_1", "flow_2"))
    assert_golden(align(*inputs), tensors, "a.out", atol=2e-5)


def test_untrained_it_warps_both_features_by_their_flows():
    # Offsets are the flows and masks one half: with all weight on the centre tap, half the warped features.
    align = SecondOrderDeformAlign(8, 10)
    with torch.no_grad():
        align.weight.zero_()
        align.weight[0, 0, 1, 1] = align.weight[1, 8, 1, 1] = 2.0
        generator = torch.Generator().manual_seed(0)
        features = torch.rand(1, 16, 6, 7, generator=generator)
        flows = [
            torch.tensor(flow).view(1, 2, 1, 1).expand(1, 2, 6, 7) for flow in ([0.5, -1.0], [2.0, 0.25])
        ]
        aligned = align(features, torch.rand(1, 24, 6, 7, generator=generator), *flows)
    torch.testing.assert_close(aligned[:, 0], flow_warp(features[:, :1], flows[0])[:, 0])
    torch.testing.assert_close(aligned[:, 1], flow_warp(features[:, 8:9], flows[1])[:, 0])
    assert not aligned[:, 2:].any()


def test_autocast():
    torch.manual_seed(0)
    align, flow = SecondOrderDeformAlign(8, 10), torch.rand(1, 2, 6, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        aligned = align(torch.rand(1, 16, 6, 7), torch.rand(1, 24, 6, 7), flow, flow)
    assert aligned.isfinite().all()
