"""Promises: the published flow network, its weights by either family's names, at any size."""

import pytest
import torch
import torch.nn.functional as F

from fedvsr_core.errors import ShapeError
from fedvsr_core.layers.spynet import SpyNet, neighbour_flows, rename_official
from fedvsr_core.layers.warp import flow_warp
from tests.unit.golden import assert_golden

ATOL = 1e-4


def load(state):
    spynet = SpyNet().eval().requires_grad_(requires_grad=False)
    weights = {name.removeprefix("spynet."): tensor for name, tensor in state.items()}
    spynet.load_state_dict({"mean": spynet.mean, "std": spynet.std} | weights)
    return spynet


@pytest.fixture(scope="module")
def spynet(golden_tensors):
    return load(golden_tensors("spynet_f16"))


@pytest.mark.parametrize("case", ["0", "1", "2"])
def test_flows_at_four_levels_equal_golden(spynet, golden_tensors, case):
    tensors = golden_tensors("spynet")
    flows = spynet.at_levels(tensors[f"{case}.ref"], tensors[f"{case}.supp"], [5, 4, 3, 2])
    for flow, shrink in zip(flows, (1, 2, 4, 8), strict=True):
        assert_golden(flow, tensors, f"{case}.flow_div{shrink}", atol=ATOL)


def test_images_smaller_than_the_pyramid_are_stretched(spynet):
    # 20 x 30 pixels become 32 x 32; the flow there, in the image's own pixels again.
    images = torch.rand(2, 1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    stretched = (F.interpolate(image, (32, 32), mode="bilinear", align_corners=False) for image in images)
    flow = F.interpolate(spynet(*stretched), (20, 30), mode="bilinear", align_corners=False)
    expected = flow * torch.tensor([30 / 32, 20 / 32]).view(1, 2, 1, 1)
    torch.testing.assert_close(spynet(*images), expected, rtol=0, atol=1e-5)


def test_parameters_are_as_published():
    assert sum(parameter.numel() for parameter in SpyNet().parameters()) == 1_440_300


def test_names_of_the_other_family():
    assert rename_official("basic_module.3.basic_module.4.conv.bias") == "basic_module.3.basic_module.8.bias"
    assert all(rename_official(name) == name for name in SpyNet().state_dict())


def test_one_pixel_is_enough(spynet):
    assert spynet(torch.zeros(1, 3, 1, 1), torch.zeros(1, 3, 1, 1)).shape == (1, 2, 1, 1)


def test_it_is_the_flow_from_the_first_image_to_the_second():
    # A network that says "one pixel to the right" at the finest level and nothing before.
    spynet = SpyNet().requires_grad_(requires_grad=False)
    for parameter in spynet.parameters():
        parameter.zero_()
    spynet.basic_module[5].basic_module[8].bias.copy_(torch.tensor([1.0, 0.0]))
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    flow = spynet(image, image)
    assert (flow[:, 0] == 1).all()
    assert (flow[:, 1] == 0).all()
    torch.testing.assert_close(flow_warp(image, flow)[..., :-1], image[..., 1:])


def test_flow_stays_precise_under_autocast(spynet):
    images = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        flow = spynet(*images)
    assert flow.dtype == torch.float32
    assert flow.isfinite().all()


def test_flows_of_neighbours_in_both_directions(spynet):
    frames = torch.rand(2, 3, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    backward, forward = neighbour_flows(spynet, frames)
    assert backward.shape == forward.shape == (2, 2, 2, 32, 40)
    torch.testing.assert_close(backward[1, 0], spynet(frames[1:, 0], frames[1:, 1])[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(forward[1, 0], spynet(frames[1:, 1], frames[1:, 0])[0], rtol=0, atol=1e-4)


def test_a_single_frame_has_no_flow(spynet):
    backward, forward = neighbour_flows(spynet, torch.zeros(2, 1, 3, 8, 8))
    assert backward.shape == forward.shape == (2, 0, 2, 8, 8)


def test_images_of_two_sizes(spynet):
    sentence = (
        r"^the flow is between images of one shape \(N, 3, H, W\), got \(1, 3, 8, 8\) and \(1, 3, 8, 9\)$"
    )
    with pytest.raises(ShapeError, match=sentence):
        spynet(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 9))
