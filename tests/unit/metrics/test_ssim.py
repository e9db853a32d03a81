"""Promises: the SSIM of Wang et al. over the valid region, equal to scikit-image with matching options."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from skimage.metrics import structural_similarity

from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics.colour import luma
from fedvsr_core.metrics.ssim import ssim

FRAMES = hnp.arrays(np.uint8, (13, 12, 3))


def reference(output, target, **options):
    return structural_similarity(
        output.astype(float),
        target.astype(float),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        **options,
    )


def test_flat_frames_by_hand():
    # No variance: what is left is (2 a b + C1) / (a^2 + b^2 + C1) with C1 = 6.5025.
    output, target = np.full((11, 11, 3), 100, np.uint8), np.full((11, 11, 3), 120, np.uint8)
    assert ssim(output, target) == pytest.approx((2 * 100 * 120 + 6.5025) / (100**2 + 120**2 + 6.5025))


@settings(deadline=None)
@given(output=FRAMES, target=FRAMES)
def test_equals_scikit_image(output, target):
    assert ssim(output, target) == pytest.approx(reference(output, target, channel_axis=2), abs=1e-9)
    assert ssim(output, target, channel="y") == pytest.approx(reference(luma(output), luma(target)), abs=1e-9)


@settings(deadline=None)
@given(output=FRAMES, target=FRAMES)
def test_symmetric_and_one_for_identical(output, target):
    assert ssim(output, target) == pytest.approx(ssim(target, output), abs=1e-12)
    assert ssim(target, target) == pytest.approx(1, abs=1e-12)


def test_a_clip_is_its_frames():
    output, target = np.random.default_rng(0).integers(0, 256, (2, 3, 20, 20, 3), dtype=np.uint8)
    frames = [ssim(one, other, border=2) for one, other in zip(output, target, strict=True)]
    np.testing.assert_array_equal(ssim(output, target, border=2), frames)


def test_refuses_frames_smaller_than_the_window():
    frame = np.zeros((12, 20, 3), np.uint8)
    with pytest.raises(ShapeError, match="at least 11x11 pixels inside the border, got 18x10"):
        ssim(frame, frame, border=1)
