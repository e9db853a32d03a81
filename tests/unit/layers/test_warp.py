"""Promises: an image where its flow points to, as the published networks warp it, in any precision."""

import pytest
import torch

from fedvsr_core.errors import ShapeError
from fedvsr_core.layers.warp import flow_warp, nearest_four
from tests.unit.golden import assert_golden


def columns_first(flow):
    return flow.permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("interpolation", "padding"), [("bilinear", "zeros"), ("bilinear", "border"), ("nearest", "zeros")]
)
def test_equals_golden(golden_tensors, interpolation, padding):
    tensors = golden_tensors("component_flow_warp")
    warped = flow_warp(
        tensors["x"], columns_first(tensors["flow"]), interpolation=interpolation, padding=padding
    )
    torch.testing.assert_close(warped, tensors[f"out_{interpolation}_{padding}"], rtol=0, atol=1e-5)


def test_an_axis_of_one_pixel_equals_golden(golden_tensors):
    tensors = golden_tensors("component_flow_warp")
    warped = flow_warp(tensors["x_w1"], columns_first(tensors["flow_w1"]))
    torch.testing.assert_close(warped, tensors["out_w1_zeros"], rtol=0, atol=1e-5)


def test_a_step_to_the_right_and_half_a_step_down_by_hand():
    image = torch.tensor([[[[0.0, 1.0, 2.0], [10.0, 11.0, 12.0], [20.0, 21.0, 22.0]]]])
    flow = torch.tensor([1.0, 0.5]).view(1, 2, 1, 1).expand(1, 2, 3, 3)
    # The mean of a pixel's right neighbours in its row and the next; outside are zeros, or the border again.
    zeros = [[6.0, 7.0, 0.0], [16.0, 17.0, 0.0], [10.5, 11.0, 0.0]]
    border = [[6.0, 7.0, 7.0], [16.0, 17.0, 17.0], [21.0, 22.0, 22.0]]
    assert flow_warp(image, flow)[0, 0].tolist() == zeros
    assert flow_warp(image, flow, padding="border")[0, 0].tolist() == border


def test_no_flow_changes_nothing():
    image = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(flow_warp(image, torch.zeros(2, 2, 5, 7)), image)


def test_wide_images_in_bfloat16_keep_their_pixels():
    # Positions in bfloat16 would be exact only up to 256.
    image = torch.zeros(1, 1, 1, 600, dtype=torch.bfloat16)
    image[..., 501] = 1.0
    flow = torch.zeros(1, 2, 1, 600)
    flow[:, 0] = 1.0
    warped = flow_warp(image, flow)
    assert warped.dtype == torch.bfloat16
    assert warped[0, 0, 0].nonzero().flatten().tolist() == [500]


def test_gradients_reach_image_and_flow():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 2, 4, 5, dtype=torch.float64, generator=generator).requires_grad_()
    flow = (0.2 + 0.6 * torch.rand(1, 2, 4, 5, dtype=torch.float64, generator=generator)).requires_grad_()
    assert torch.autograd.gradcheck(flow_warp, (image, flow))


def test_a_flow_of_another_size():
    with pytest.raises(
        ShapeError, match=r"^the flow must have shape \(1, 2, 4, 5\) for an image of \(1, 3, 4"
    ):
        flow_warp(torch.zeros(1, 3, 4, 5), torch.zeros(1, 2, 5, 4))


@pytest.mark.parametrize("case", ["0", "1", "2", "3", "4"])
def test_the_four_pixels_around_equal_golden(golden_tensors, case):
    tensors = golden_tensors("flow_warp")
    flow = columns_first(tensors[f"{case}.flow"])
    assert_golden(nearest_four(tensors[f"{case}.x"], flow), tensors, f"{case}.nearest4.zeros", atol=1e-5)
    assert_golden(flow_warp(tensors[f"{case}.x"], flow), tensors, f"{case}.bilinear.zeros", atol=1e-5)


def test_the_four_pixels_around_by_hand():
    image = torch.tensor([[[[0.0, 1.0], [10.0, 11.0]]]])
    flow = torch.tensor([0.25, 0.5]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    above, below, above_right, below_right = nearest_four(image, flow)[0].tolist()
    assert above == [[0, 1], [10, 11]]
    assert below == [[10, 11], [0, 0]]
    assert above_right == [[1, 0], [11, 0]]
    assert below_right == [[11, 0], [0, 0]]
