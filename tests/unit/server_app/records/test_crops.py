"""The sheet of crops shows the most detailed part of each frame, pixel by pixel."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvsr_core.errors import ShapeError
from fedvsr_core.evaluation.held_out import Sample
from server_app.records import crops
from server_app.records.crops import CROP, SHOWN, Frame, draw_crops, most_detailed


def noise(height: int, width: int, seed: int = 0) -> Frame:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def flat(height: int, width: int, level: int = 90) -> Frame:
    return np.full((height, width, 3), level, dtype=np.uint8)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 60), st.integers(0, 90))
def test_detail_is_found_where_it_is(row: int, column: int) -> None:
    frame = flat(100, 130)
    frame[row : row + 40, column : column + 40] = noise(40, 40)
    found = most_detailed(frame, 40)
    assert np.abs(np.subtract(found, (row, column))).max() <= crops._DETAIL


def test_of_equals_the_first_is_taken() -> None:
    assert most_detailed(flat(90, 120), 80) == (0, 0)


def test_one_sharp_edge_is_less_than_texture() -> None:
    frame = flat(100, 300, level=0)
    frame[:, 50:150] = 255  # one edge in a crop of 80
    frame[:, 200:] = noise(100, 100) // 2 + 60
    assert most_detailed(frame, 80)[1] >= 200 - crops._DETAIL


def test_every_pixel_is_a_square(tmp_path: Path) -> None:
    truth = noise(CROP, CROP)
    bicubic, ours = flat(CROP, CROP, 40), flat(CROP, CROP, 80)
    draw_crops([Sample("bikes/138-186", bicubic, ours, truth)], tmp_path / "crops.png")
    sheet = cv2.imread(str(tmp_path / "crops.png"))[:, :, ::-1]
    assert sheet.shape[1] == 3 * SHOWN + 4 * crops._GAP
    for index, frame in enumerate((bicubic, ours, truth)):
        left, top = crops._GAP + index * (SHOWN + crops._GAP), crops._GAP + crops._CAPTION
        shown = sheet[top : top + SHOWN, left : left + SHOWN]
        np.testing.assert_array_equal(shown, frame.repeat(4, axis=0).repeat(4, axis=1))


def test_small_frames_are_shown_whole(tmp_path: Path) -> None:
    truth = noise(48, 64)
    draw_crops([Sample("a", truth, truth, truth)] * 2, tmp_path / "crops.png")
    sheet = cv2.imread(str(tmp_path / "crops.png"))
    assert sheet.shape[0] == 2 * (SHOWN + 2 * crops._CAPTION) + 2 * crops._GAP


def test_equal_frames_are_equal_bytes(tmp_path: Path) -> None:
    sample = Sample("a", noise(90, 120, 1), noise(90, 120, 2), noise(90, 120, 3))
    for name in ("one.png", "two.png"):
        draw_crops([sample], tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_frames_of_different_sizes_are_refused(tmp_path: Path) -> None:
    sample = Sample("bikes/138-186", noise(90, 120), noise(88, 120), noise(90, 120))
    with pytest.raises(ShapeError, match=r"'bikes/138-186' must have one shape, got .*ours \(88, 120, 3\)"):
        draw_crops([sample], tmp_path / "crops.png")
