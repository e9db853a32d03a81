"""Promises: MATLAB's bicubic and both published blurs, exact to the pixel, frame by frame."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedvsr_core.data.degradation import bd12, bd13, bicubic_down, bicubic_up, modcrop
from fedvsr_core.errors import ShapeError

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics"
IDS = ("bbb_b", "bikes_b_modcrop")
DEGRADATIONS = {"bi": bicubic_down, "bd12": bd12, "bd13": bd13}
FRAMES = hnp.arrays(np.uint8, st.tuples(st.integers(4, 21), st.integers(4, 21), st.just(3)))


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "images.npz")


def impulse(value: int, row: int, column: int, size: int = 32):
    frame = np.zeros((size, size, 3), np.uint8)
    frame[row, column] = value
    return frame


def test_taps_of_bicubic_down_by_hand():
    # MATLAB's taps for x1/4 are (-7 -45 -75 -49 93 399 745 987 | mirrored) / 4096. Low row i sees high row
    # 4i + k with tap k + 6, and so for columns. 255 * (987 / 4096)^2 = 14.8, and with 745, 399, 93 in place
    # of one 987: 11.2, 6.0, 1.4.
    low = bicubic_down(impulse(255, 17, 17))[..., 0]
    assert low[4, 4] == 15
    assert [bicubic_down(impulse(255, 17, column))[4, 4, 0] for column in (16, 15, 14)] == [11, 6, 1]


def test_bd_grids_differ_by_one_and_a_half_pixels():
    # bd12 puts low pixel 4 at high 17.5, between 17 and 18; bd13 puts it at high 16.
    twelve, thirteen = bd12(impulse(255, 17, 17))[4, 4, 0], bd12(impulse(255, 18, 18))[4, 4, 0]
    assert twelve == thirteen > 0
    around = [bd13(impulse(255, 16 + shift, 16))[4, 4, 0] for shift in (-1, 0, 1)]
    assert around[0] == around[2] < around[1]


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("image", IDS)
def test_equals_golden(golden, image, name):
    np.testing.assert_array_equal(
        DEGRADATIONS[name](golden[f"{image}/hr_u8"]), golden[f"{image}/lr_{name}_u8"]
    )


@pytest.mark.parametrize("name", DEGRADATIONS)
@given(frame=FRAMES)
def test_a_device_of_torch_gives_the_same(name, frame):
    np.testing.assert_array_equal(DEGRADATIONS[name](frame, device="cpu"), DEGRADATIONS[name](frame))


@pytest.mark.gpu
@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_gpu_gives_golden(golden, name):
    low = DEGRADATIONS[name](golden[f"{IDS[0]}/hr_u8"], device="cuda")
    np.testing.assert_array_equal(low, golden[f"{IDS[0]}/lr_{name}_u8"])


@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_clip_of_golden_frames(golden, name, device):
    clip = np.stack([golden[f"{IDS[0]}/hr_u8"]] * 2)
    low = golden[f"{IDS[0]}/lr_{name}_u8"]
    np.testing.assert_array_equal(DEGRADATIONS[name](clip, device=device), [low, low])


@pytest.mark.parametrize("image", IDS)
def test_bicubic_up_equals_golden(golden, image):
    np.testing.assert_array_equal(bicubic_up(golden[f"{image}/lr_bi_u8"]), golden[f"{image}/up_bi_u8"])


@pytest.mark.parametrize(
    "degrade", [*DEGRADATIONS.values(), bicubic_up], ids=lambda function: function.__name__
)
@given(value=st.integers(0, 255), height=st.integers(4, 20), width=st.integers(4, 20))
def test_flat_frames_stay_flat(degrade, value, height, width):
    frame = np.full((height, width, 3), value, np.uint8)
    assert np.all(degrade(frame) == value)


@given(frame=FRAMES, scale=st.sampled_from([2, 3, 4]))
def test_turning_a_frame_turns_the_result(frame, scale):
    square = frame[: min(frame.shape[:2]), : min(frame.shape[:2])]
    square = modcrop(square, scale)
    np.testing.assert_array_equal(
        bicubic_down(square.transpose(1, 0, 2), scale), bicubic_down(square, scale).transpose(1, 0, 2)
    )


@given(frame=FRAMES, scale=st.sampled_from([1, 2, 3, 4]))
def test_sizes(frame, scale):
    height, width = frame.shape[:2]
    assert bicubic_down(frame, scale).shape == (height // scale, width // scale, 3)
    assert bicubic_up(frame, scale).shape == (height * scale, width * scale, 3)
    if scale == 1:
        np.testing.assert_array_equal(bicubic_up(frame, 1), frame)


@given(clip=hnp.arrays(np.uint8, (3, 8, 9, 3)))
def test_frames_of_a_clip_do_not_mix(clip):
    np.testing.assert_array_equal(bicubic_down(clip), [bicubic_down(frame) for frame in clip])


def test_modcrop_is_a_view_without_the_last_rows_and_columns(golden):
    frame = golden["bikes_b_modcrop/hr_u8"]
    cropped = modcrop(frame, 4)
    assert cropped.shape == (96, 128, 3)
    assert np.shares_memory(cropped, frame)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bicubic_down(np.zeros((8, 8, 3))), "must be uint8 of shape .*got float64"),
        (lambda: bicubic_up(np.zeros((8, 8), np.uint8)), "must be uint8 of shape"),
        (lambda: bicubic_down(np.zeros((3, 8, 3), np.uint8)), "at least 4 x 4 pixels for scale 4, got 8 x 3"),
        (lambda: bd12(np.zeros((8, 8, 3), np.uint8), 2), "bd12 is defined for scale 4, got 2"),
        (lambda: bd13(np.zeros((8, 8, 3), np.uint8), 3), "bd13 is defined for scale 4, got 3"),
    ],
    ids=["float", "grey", "small", "bd12", "bd13"],
)
def test_refuses(call, message):
    with pytest.raises(ShapeError, match=message):
        call()
