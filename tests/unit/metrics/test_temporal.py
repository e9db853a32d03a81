"""Promises: tOF, tLP and warping error as published, the last beside the ground truth's own."""

import numpy as np
import pytest

from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics.flow import visible, warp
from fedvsr_core.metrics.temporal import tlp, tof, warping_error, warping_of_pair


@pytest.mark.compared("tof", "warping", "warping-truth")
def test_equals_golden(golden_clip):
    output, target, arrays, expected = golden_clip
    np.testing.assert_allclose(tof(output, target), expected["tOF"]["per_pair"], atol=1e-4)
    ours, truth = warping_error(output, target)
    np.testing.assert_allclose(ours, expected["warp_error"]["output_per_pair"], rtol=1e-3)
    np.testing.assert_allclose(truth, expected["warp_error"]["gt_per_pair"], rtol=1e-3)
    if "flow_fw" in arrays:
        stored = expected["warp_error"]["with_stored_float16_flows"]
        flows = zip(arrays["flow_fw"], arrays["flow_bw"], strict=True)
        errors = np.array(
            [warping_of_pair(output[i : i + 2], target[i : i + 2], pair) for i, pair in enumerate(flows)]
        )
        np.testing.assert_allclose(errors[:, 0], stored["output_per_pair"], rtol=1e-6)
        assert errors[:, 1].mean() == pytest.approx(stored["gt_mean"], rel=1e-6)


@pytest.mark.compared("tlp")
def test_tlp_equals_golden(golden_clip, lpips):
    output, target, _, expected = golden_clip
    np.testing.assert_allclose(
        tlp(output, target, lpips), expected["tLP_x100_full_frame"]["per_pair"], atol=2e-2
    )


def test_tlp_by_hand():
    # The output's changes are 5 and 0, the truth's 2 and 4: 100 * |2 - 5| and 100 * |4 - 0|.
    output, target = (
        np.array(values, np.uint8).reshape(3, 1, 1, 1).repeat(3, 3) for values in ([0, 5, 5], [1, 3, 7])
    )

    def distance(one, other):
        return np.abs(one.astype(float) - other).mean((1, 2, 3))

    np.testing.assert_allclose(tlp(output, target, distance), [300, 400])


def test_a_perfect_copy(golden_clip):
    _, target, _, _ = golden_clip
    assert not tof(target, target).any()
    ours, truth = warping_error(target, target)
    np.testing.assert_array_equal(ours, truth)
    assert (truth > 0).all()


def test_warping_by_hand():
    # One row 10, 20, 40: half a pixel to the right fetches 15 and 30, and the last one stays at the edge.
    image = np.array([10.0, 20, 40]).reshape(1, 3, 1)
    flow = np.zeros((1, 3, 2))
    flow[..., 0] = 0.5
    np.testing.assert_allclose(warp(image, flow).ravel(), [15, 30, 40])
    flow[..., 0] = -9
    np.testing.assert_allclose(warp(image, flow).ravel(), [10, 10, 10])


def test_what_is_visible_by_hand():
    forward = np.zeros((4, 6, 2))
    backward = np.zeros((4, 6, 2))
    assert visible(forward, backward).all()
    # |0 + backward|^2 = 0.64 > 0.01 * 0.64 + 0.5, but 0.36 < 0.01 * 0.36 + 0.5.
    backward[1, 2], backward[2, 3] = (0.8, 0), (0.6, 0)
    expected = np.ones((4, 6), bool)
    expected[1, 2] = False
    np.testing.assert_array_equal(visible(forward, backward), expected)
    # A step of motion between columns 2 and 3 hides the pixels left of it.
    forward[:, 3:] = (0.1, 0)
    np.testing.assert_array_equal(visible(forward, -forward)[:, 2], False)


def test_a_moved_picture_has_hardly_a_warping_error_and_a_jumping_one_has():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (14, 22, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    still = np.stack([coarse] * 3)
    assert warping_error(still, still)[1] == pytest.approx(
        [0, 0], abs=1e-6
    )  # the flow of a still picture is a rounding error
    flicker = still.copy()
    flicker[1] = flicker[1] // 2
    assert (warping_error(flicker, still)[0] > 0.01).all()


def test_without_a_visible_pixel_it_is_not_a_number():
    clip = np.zeros((2, 8, 8, 3), np.uint8)
    forward = np.random.default_rng(0).normal(size=(8, 8, 2)) * 9
    assert np.isnan(warping_of_pair(clip, clip, (forward, forward))).all()


def test_refuses():
    clip = np.zeros((2, 47, 64, 3), np.uint8)
    with pytest.raises(ShapeError, match="tOF needs at least 48 pixels in height and width, got 47"):
        tof(clip, clip)
    with pytest.raises(ShapeError, match="two frames or more, got"):
        warping_error(clip[:1], clip[:1])
    with pytest.raises(ShapeError, match="must both have shape"):
        tof(clip, clip[:1])
