"""Promises: clips from a seed alone, with motion, and with detail that bicubic upscaling loses."""

import numpy as np
import pytest

from fedvsr_core.data.degradation import bicubic_down, bicubic_up
from fedvsr_core.data.synthetic import Synthetic
from fedvsr_core.metrics.psnr import psnr


def synthetic(**changed):
    arguments = {
        "scale": 4,
        "clips": 2,
        "held_out_clips": 2,
        "frames": 3,
        "height": 12,
        "width": 16,
        "seed": 0,
    }
    return Synthetic(**arguments | changed)


def test_sizes_and_names():
    data = synthetic()
    shots = data.train() + data.held_out()
    assert len({shot.name for shot in shots}) == 4
    for shot in shots:
        assert shot.clip().high.shape == (shot.frames, shot.height, shot.width, 3) == (3, 48, 64, 3)


def test_a_function_of_the_seed():
    first = [shot.clip().high for shot in synthetic().train() + synthetic().held_out()]
    again = [shot.clip().high for shot in synthetic().train() + synthetic().held_out()]
    np.testing.assert_array_equal(first, again)
    assert len({clip.tobytes() for clip in first}) == 4
    assert np.any(synthetic(seed=1).train()[0].clip().high != first[0])


@pytest.mark.parametrize("number", [0, 1])
def test_moving_and_detailed(number):
    clip = synthetic().held_out()[number].clip().high
    assert np.abs(np.diff(clip.astype(int), axis=0)).mean() > 2
    assert np.mean(psnr(bicubic_up(bicubic_down(clip)), clip)) < 35
