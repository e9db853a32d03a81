"""Promises: shots decode nothing before they are asked, and their cuts are views with telling names."""

from pathlib import Path

import numpy as np
import pytest

from fedvsr_core.data.shots import Shot, video_shot
from fedvsr_core.errors import DataError

PIXELS = np.arange(4 * 6 * 8 * 3).reshape(4, 6, 8, 3).astype(np.uint8)


def refuse():
    raise AssertionError("decoded too early")


def test_cutting_does_not_decode():
    shot = Shot("a", 4, 6, 8, refuse).between(1, 3).tile(0, 4, 2, 6)
    assert (shot.name, shot.frames, shot.height, shot.width) == ("a[1:3][0:4,2:6]", 2, 4, 4)
    with pytest.raises(AssertionError, match="too early"):
        shot.clip()


def test_cuts_are_views():
    clip = Shot("a", 4, 6, 8, lambda: PIXELS).between(1, 3).tile(0, 4, 2, 6).clip()
    np.testing.assert_array_equal(clip.high, PIXELS[1:3, :4, 2:6])
    assert np.shares_memory(clip.high, PIXELS)
    assert clip.low is None


def test_whole_cuts_keep_the_name():
    shot = Shot("a", 4, 6, 8, refuse)
    assert shot.between(0, 4) is shot
    assert shot.tile(0, 6, 0, 8) is shot


def test_a_video_is_cropped_to_the_scale(tmp_path, noise, write_video):
    path = write_video(tmp_path / "a.mkv", noise)
    shot = video_shot("a", path, first=2, stop=5, height=24, width=32, scale=5)
    assert (shot.name, shot.frames, shot.height, shot.width) == ("a", 3, 20, 30)
    np.testing.assert_array_equal(shot.clip().high, noise[2:5, :20, :30])


@pytest.mark.parametrize(("stop", "height"), [(0, 24), (3, 3)], ids=["no-frames", "too-small"])
def test_refuses_nothing(stop, height):
    with pytest.raises(DataError, match=r"clip 'a' has .*, expected at least one of 4x4; remove 'a\.mkv'"):
        video_shot("a", Path("a.mkv"), first=0, stop=stop, height=height, width=32, scale=4)
