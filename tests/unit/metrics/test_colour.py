"""Promises: BT.601 luma as MATLAB's rgb2ycbcr defines it, unrounded."""

import numpy as np
import pytest

from fedvsr_core.metrics.colour import luma


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((255, 255, 255), 235),
        ((0, 0, 0), 16),
        ((128, 128, 128), 125.929),
        ((255, 0, 0), 81.481),  # 16 + 65.481
        ((0, 255, 0), 144.553),  # 16 + 128.553
        ((0, 0, 255), 40.966),  # 16 + 24.966
    ],
    ids=["white", "black", "grey", "red", "green", "blue"],
)
def test_luma_by_hand(rgb, expected):
    assert luma(np.array(rgb, np.uint8)) == pytest.approx(expected, abs=1e-3)
    assert luma(np.full((2, 4, 5, 3), rgb, np.uint8)).shape == (2, 4, 5)


def test_a_part_of_a_frame_that_cannot_be_written_to():
    frame = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    frame.setflags(write=False)
    expected = 16 + frame[1:4, 2:] @ np.array([65.481, 128.553, 24.966]) / 255
    np.testing.assert_allclose(luma(frame[1:4, 2:]), expected, rtol=1e-15)
