"""Promises: means over clips, frames and clients; sums that merge to the mean of everything."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.metrics.average import Mean, dataset_means, plain, summed

VALUES = st.lists(st.one_of(st.floats(-200, 200), st.sampled_from([math.inf, math.nan])), max_size=20)


def test_clips_count_the_same_by_hand():
    # Clip means 20 and 30: 25. All four frames: (20 + 20 + 20 + 30) / 4 = 22.5.
    clips = [{"psnr-y": np.array([20.0, 20, 20])}, {"psnr-y": np.array([30.0])}]
    assert dataset_means(clips, "clips")["psnr-y"].value == 25
    assert dataset_means(clips, "frames")["psnr-y"].value == 22.5


def test_identical_frames_are_left_out_and_counted():
    clips = [{"psnr-y": np.array([math.inf, 30, 32])}, {"psnr-y": np.array([math.inf, math.inf])}]
    assert Mean.of(clips[0]["psnr-y"]).value == 31
    assert plain({"psnr-y": Mean.of(clips[0]["psnr-y"])}) == {"psnr-y": 31.0, "left-out": {"psnr-y": 1}}
    assert Mean.of(clips[1]["psnr-y"]).value == math.inf
    assert dataset_means(clips, "clips")["psnr-y"] == Mean(31.0, 1, 1, 1)
    assert dataset_means(clips, "frames")["psnr-y"] == Mean(62.0, 2, 3, 3)


def test_nothing_has_no_mean():
    assert math.isnan(Mean().value)
    assert math.isnan(Mean.of([math.nan]).value)
    assert plain({"psnr-y": Mean.of([20])}) == {"psnr-y": 20.0}


@given(st.lists(VALUES, max_size=6), st.randoms())
def test_merging_is_the_mean_of_all_in_any_order(parts, rng):
    whole = Mean.of([value for part in parts for value in part])
    rng.shuffle(parts)
    merged = summed(map(Mean.of, parts))
    assert (merged.count, merged.left_out, merged.infinite) == (whole.count, whole.left_out, whole.infinite)
    assert merged.total == pytest.approx(whole.total, rel=1e-12, abs=1e-9)
