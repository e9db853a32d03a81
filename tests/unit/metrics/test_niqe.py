"""Promises: NIQE equals BasicSR's, needs no ground truth, and says what it can't look at."""

import json
import math

import numpy as np
import pytest

from fedvsr import metrics
from fedvsr_core.errors import ConfigurationError, ShapeError
from fedvsr_core.metrics.niqe import niqe
from fedvsr_core.metrics.niqe_model import natural_covariance, natural_mean

from .conftest import GOLDEN

FRAMES = dict(np.load(GOLDEN / "niqe.npz"))
NATURAL = FRAMES["natural"]


@pytest.mark.compared("niqe")
def test_equals_basicsr():
    expected = json.loads((GOLDEN / "golden.json").read_text())["niqe"]
    assert expected.keys() == FRAMES.keys()
    for name, frame in FRAMES.items():
        assert niqe(frame) == pytest.approx(expected[name], rel=1e-5), name
    assert expected["natural"] < expected["bicubic"] < expected["noise"]


def test_the_natural_pictures_are_a_distribution():
    assert natural_mean().shape == (36,)
    covariance = natural_covariance()
    np.testing.assert_array_equal(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > 0
    # Of 18 parameters at two sizes; the first is a shape, the next one a scale.
    assert natural_mean()[[0, 1, 18]].round(3).tolist() == [2.601, 0.906, 2.969]


def test_a_clip_is_its_frames():
    clip = np.stack([NATURAL, FRAMES["noise"]])
    np.testing.assert_array_equal(niqe(clip), [niqe(NATURAL), niqe(FRAMES["noise"])])


def test_what_no_block_covers_is_not_looked_at():
    assert NATURAL.shape == (200, 300, 3)
    assert niqe(NATURAL) == niqe(NATURAL[:192, :288])


@pytest.mark.parametrize("level", [0, 16, 77, 255])
def test_flat_blocks_are_left_out(level):
    # A frame whose left column of blocks is flat has the blocks of the frame without it; only where the two
    # meet does the filter see another neighbour.
    barred = NATURAL.copy()
    barred[:, :96] = level
    bars = np.concatenate([np.full((200, 288, 3), level, np.uint8), barred], axis=1)
    assert niqe(bars) == niqe(barred)
    assert niqe(barred) == pytest.approx(niqe(NATURAL[:, 96:]), rel=0.15)


def test_a_flat_frame_has_no_score():
    assert math.isnan(niqe(np.full((192, 192, 3), 128, np.uint8)))


def test_without_a_ground_truth():
    scores = metrics.score(NATURAL, None, ["niqe"])
    assert scores == {"niqe": metrics.niqe(NATURAL)} == {"niqe": niqe(NATURAL)}
    with pytest.raises(ConfigurationError, match=r"^without a ground truth there is no psnr-y, ssim-y$"):
        metrics.score(NATURAL, None)


def test_refuses():
    with pytest.raises(ShapeError, match=r"at least two blocks of 96x96 pixels, got a frame of 176x144"):
        niqe(np.zeros((144, 176, 3), np.uint8))
    for frames in (NATURAL[..., 0], NATURAL / 255):
        with pytest.raises(ShapeError, match=r"uint8 frames \(H, W, 3\) or \(T, H, W, 3\), got "):
            niqe(frames)
