"""Promises: both border rules, and resampling that equals the sum it stands for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvsr_core.data.degradation import bicubic_up
from fedvsr_core.data.resampling import Taps, mirrored, reflected, resample


@pytest.mark.parametrize(
    ("rule", "size", "expected"),
    [
        (mirrored, 3, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]),
        (reflected, 3, [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]),
        (mirrored, 1, [0] * 11),
        (reflected, 1, [0] * 11),
        (reflected, 2, [0, 1] * 5 + [0]),
    ],
)
def test_borders_by_hand(rule, size, expected):
    assert rule(np.arange(-4, 7), size).tolist() == expected


def test_equals_the_sum_of_taps():
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (7, 6, 3), dtype=np.uint8)
    rows = Taps(rng.integers(0, 7, (4, 2)), rng.uniform(0, 0.5, (4, 2)))
    columns = Taps(rng.integers(0, 6, (5, 3)), rng.uniform(0, 0.4, (5, 3)))
    expected = np.einsum(
        "ik,jl,ikjlc->ijc",
        rows.weights,
        columns.weights,
        frame[rows.positions[:, :, None, None], columns.positions].astype(float),
    )
    result = resample(frame, lambda size: rows if size == 7 else columns)
    np.testing.assert_array_equal(result, np.clip(np.floor(expected + 0.5), 0, 255))


def test_rounds_half_up_and_clips():
    # Row 0 sums to 0.5 + 0.5 * 2 = 1.5 -> 2, row 1 to 2 * 200 -> 255, row 2 to -5 -> 0.
    frame = np.array([1, 2, 200, 5], np.uint8).reshape(4, 1, 1).repeat(3, axis=2)
    rows = Taps(np.array([[0, 1], [2, 2], [3, 0]]), np.array([[0.5, 0.5], [1, 1], [-1, 0]]))
    only = Taps(np.array([[0]]), np.array([[1.0]]))
    assert resample(frame, lambda size: rows if size == 4 else only)[:, 0, 0].tolist() == [2, 255, 0]


def plain(frame, rows, columns):
    """One axis after the other, the taps in their order."""
    lines = sum(
        rows.weights[:, tap, None, None] * frame[rows.positions[:, tap]]
        for tap in range(rows.weights.shape[1])
    )
    values = sum(
        columns.weights[:, tap, None] * lines[:, columns.positions[:, tap]]
        for tap in range(columns.weights.shape[1])
    )
    return np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.tuples(*[st.integers(1, 9)] * 4),
    taps=st.tuples(*[st.integers(1, 16)] * 2),
)
def test_equals_the_plain_formula_to_the_byte(seed, sizes, taps):
    rng = np.random.default_rng(seed)
    height, width, out_height, out_width = sizes
    frames = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    rows, columns = (
        Taps(rng.integers(0, size, (out, count)), rng.normal(1 / count, 1, (out, count)))
        for size, out, count in ((height, out_height, taps[0]), (width, out_width, taps[1]))
    )
    sides = iter([rows, columns])
    result = resample(frames, lambda size: next(sides))
    np.testing.assert_array_equal(result, [plain(frame, rows, columns) for frame in frames])


def test_frames_of_another_layout():
    clip = np.random.default_rng(0).integers(0, 256, (2, 9, 8, 3), dtype=np.uint8)
    clip.setflags(write=False)
    expected = bicubic_up(clip[:, ::-1, 1:6].copy())
    np.testing.assert_array_equal(bicubic_up(clip[:, ::-1, 1:6]), expected)
    assert bicubic_up(clip[:0]).shape == (0, 36, 32, 3)
