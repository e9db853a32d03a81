"""Promises: shots decode nothing before they are asked, and their cuts are views with telling names."""

import numpy as np
import pytest

from fedvsr_core.data.clips import ALL
from fedvsr_core.data.degradation import Bicubic, GaussianBlur, bd12, bicubic_down
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError

PIXELS = np.arange(4 * 8 * 12 * 3).reshape(4, 8, 12, 3).astype(np.uint8)


class Untouchable:
    """Pixels that must not be decoded."""

    shape = PIXELS.shape

    def __getitem__(self, box):
        raise AssertionError("decoded too early")


def test_cutting_does_not_decode():
    shot = Shot("a", Untouchable(), Untouchable()).between(1, 3).tile(0, 4, 4, 8)
    assert (shot.name, shot.frames, shot.height, shot.width) == ("a[1:3][0:4,4:8]", 2, 4, 4)
    shot.degraded(Bicubic(4))
    with pytest.raises(AssertionError, match="too early"):
        shot.clip()


def test_cuts_are_views():
    low = PIXELS[:, ::4, ::4]
    shot = Shot("a", PIXELS, low).between(1, 3).tile(0, 4, 4, 12)
    clip = shot.clip()
    np.testing.assert_array_equal(clip.high, PIXELS[1:3, :4, 4:12])
    np.testing.assert_array_equal(clip.low, low[1:3, :1, 1:3])
    assert np.shares_memory(clip.high, PIXELS)
    assert np.shares_memory(clip.low, PIXELS)
    np.testing.assert_array_equal(shot.high[1:2, 1:3, :2], PIXELS[2:3, 1:3, 4:6])


def test_equal_cuts_count_once():
    pixels = Untouchable()
    first, equal, other = (Shot("a", pixels).between(*frames).high for frames in ((1, 3), (1, 3), (0, 3)))
    assert len({first, equal, other}) == 2


def test_whole_cuts_keep_the_name():
    shot = Shot("a", Untouchable())
    assert shot.between(0, 4) is shot
    assert shot.tile(0, 8, 0, 12) is shot


def test_a_shot_is_cropped_to_the_scale():
    shot = Shot("a", PIXELS).cropped(5)
    assert (shot.name, shot.frames, shot.height, shot.width) == ("a", 4, 5, 10)
    np.testing.assert_array_equal(shot.clip().high, PIXELS[:, :5, :10])


@pytest.mark.parametrize(("frames", "height"), [(0, 8), (4, 3)], ids=["no-frames", "too-small"])
def test_refuses_nothing(frames, height):
    with pytest.raises(DataError, match=r"clip 'a' has .*, expected at least one of 4x4; remove it"):
        Shot("a", PIXELS[:frames, :height]).cropped(4)


def test_low_frames_of_the_dataset_are_used_only_if_they_are_those_that_are_wanted():
    given, wanted = bicubic_down(PIXELS) // 2, Bicubic(4)
    blurred = bd12(PIXELS)
    for shot, expected in [
        (Shot("none", PIXELS), bicubic_down(PIXELS)),
        (Shot("nobody knows", PIXELS, given), given),
        (Shot("the same", PIXELS, given, Bicubic(4)), given),
        (Shot("another", PIXELS, given, GaussianBlur(12, 4)), bicubic_down(PIXELS)),
        (Shot("a camera of its own", PIXELS, given, degradation=GaussianBlur(12, 4)), blurred),
    ]:
        np.testing.assert_array_equal(shot.degraded(wanted).low[ALL], expected, err_msg=shot.name)
