"""Promises: the SSIM of Wang et al. over the valid region, equal to scikit-image with matching options."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib.stride_tricks import sliding_window_view
from skimage.metrics import structural_similarity

from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics.colour import luma
from fedvsr_core.metrics.ssim import ssim

FRAMES = hnp.arrays(np.uint8, (13, 12, 3))
PAIRS = st.tuples(st.integers(11, 16), st.integers(11, 16)).flatmap(
    lambda size: st.tuples(*[hnp.arrays(np.uint8, (*size, 3))] * 2)
)


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


def plain(output, target):
    """Eq. 13 as it is written, of every window by itself: (H, W) or (H, W, 3)."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2
    a, b = (
        sliding_window_view(plane.astype(np.float64), (11, 11), axis=(0, 1)) for plane in (output, target)
    )

    def mean(windows):
        return (windows * weights).sum(axis=(-2, -1))

    squares, product = mean(a) ** 2 + mean(b) ** 2, mean(a) * mean(b)
    top = (2 * product + 6.5025) * (2 * (mean(a * b) - product) + 58.5225)
    return (top / ((squares + 6.5025) * (mean(a**2 + b**2) - squares + 58.5225))).mean()


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
@given(PAIRS)
def test_equals_the_plain_formula(pair):
    # Of flat windows, variances are differences of numbers up to 2 * 255^2, each of them off by some 1e-11;
    # that is divided by 58.5.
    assert ssim(*pair) == pytest.approx(plain(*pair), abs=1e-12)
    assert ssim(*pair, channel="y") == pytest.approx(plain(*map(luma, pair)), abs=1e-12)


def test_equals_the_plain_formula_on_a_frame(golden_clip):
    output, target, _, _ = golden_clip
    assert ssim(output[0], target[0]) == pytest.approx(plain(output[0], target[0]), abs=1e-13)


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
