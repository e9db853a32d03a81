"""Promises: the field's PSNR, in RGB and Y, of a frame or of each frame of a clip."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics.psnr import psnr

FRAMES = hnp.arrays(np.uint8, (6, 7, 3))


def flat(value, shape=(8, 8, 3)):
    return np.full(shape, value, np.uint8)


@pytest.mark.parametrize(
    ("channel", "expected"),
    # An offset of 6 everywhere: 20 log10(255 / 6). In Y it shrinks to 6 * 219 / 255: 20 log10(255 / 5.153).
    [("rgb", 32.568), ("y", 33.890)],
)
def test_an_offset_by_hand(channel, expected):
    assert psnr(flat(106), flat(100), channel=channel) == pytest.approx(expected, abs=1e-3)


def test_channels_are_pooled_by_hand():
    # Red is off by 3, the others by 0: the MSE is 9 / 3, not the mean of one finite and two infinite PSNRs.
    output = flat(100)
    output[..., 0] += 3
    assert psnr(output, flat(100)) == pytest.approx(10 * math.log10(255**2 / 3))


def test_border_is_cut_on_all_sides():
    output = flat(100)
    output[0], output[-1], output[:, 0], output[:, -1] = 0, 0, 0, 0
    assert psnr(output, flat(100)) < 20
    assert psnr(output, flat(100), border=1) == math.inf


@given(output=FRAMES, target=FRAMES)
def test_symmetric_and_infinite_only_if_identical(output, target):
    assert psnr(output, target) == psnr(target, output)
    assert math.isinf(psnr(output, target)) == bool(np.all(output == target))
    assert psnr(target, target, channel="y") == math.inf


@given(output=hnp.arrays(np.uint8, (3, 6, 7, 3)), target=hnp.arrays(np.uint8, (3, 6, 7, 3)))
@pytest.mark.parametrize("channel", ["rgb", "y"])
def test_a_clip_is_its_frames(channel, output, target):
    whole = psnr(output, target, channel=channel)
    assert whole.shape == (3,)
    frames = [psnr(one, other, channel=channel) for one, other in zip(output, target, strict=True)]
    np.testing.assert_array_equal(whole, frames)


@given(target=FRAMES, offset=st.integers(1, 5))
def test_larger_errors_score_less(target, offset):
    target = np.minimum(target, 245)
    assert psnr(target + np.uint8(offset), target) > psnr(target + np.uint8(offset + 1), target)


@pytest.mark.parametrize(
    ("output", "target", "options", "message"),
    [
        (flat(1), flat(1, (8, 9, 3)), {}, r"must both have shape .*got \(8, 8, 3\) and \(8, 9, 3\)"),
        (flat(1, (8, 8)), flat(1, (8, 8)), {}, "must both have shape"),
        (
            flat(1).astype(float),
            flat(1),
            {},
            "must be uint8, got float64 and uint8; clamp, scale to 255 and round",
        ),
        (flat(1), flat(1), {"border": 4}, "border must leave pixels of a 8x8 frame, got 4"),
        (flat(1), flat(1), {"border": -1}, "border must leave pixels"),
        (flat(1), flat(1), {"channel": "Y"}, "channel must be one of rgb, y, got 'Y'"),
    ],
    ids=["sizes", "grey", "float", "border", "negative", "channel"],
)
def test_refuses(output, target, options, message):
    with pytest.raises(ShapeError, match=message):
        psnr(output, target, **options)
