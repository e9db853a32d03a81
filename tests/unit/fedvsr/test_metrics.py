"""Promises: a metric is the same number for arrays and for tensors."""

import numpy as np
import pytest
import torch

from fedvsr import degradations, metrics
from fedvsr_core.errors import ConfigurationError, ShapeError

rng = np.random.default_rng(0)
TARGET = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
OUTPUT = np.uint8(np.clip(TARGET + rng.normal(0, 9, TARGET.shape), 0, 255))


def tensor(frames):
    return torch.from_numpy(frames).movedim(-1, -3).float() / 255


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim, metrics.tof], ids=lambda it: it.__name__)
def test_arrays_and_tensors_agree(metric):
    expected = metric(OUTPUT, TARGET)
    assert len(expected) == 2 - (metric is metrics.tof)
    np.testing.assert_array_equal(metric(tensor(OUTPUT), tensor(TARGET)), expected)
    np.testing.assert_array_equal(metric(torch.from_numpy(OUTPUT).movedim(-1, -3), TARGET), expected)


def test_a_frame_gives_a_number_by_hand():
    # An error of 1/255 everywhere: 10 log10(255^2) = 48.1308 dB.
    target = torch.full((3, 16, 16), 100 / 255)
    assert metrics.psnr(target + 1 / 255, target) == pytest.approx(48.1308, abs=1e-4)


def test_tensors_are_clamped_and_rounded_as_files_are():
    target = torch.zeros(3, 16, 16)
    assert metrics.psnr(target - 0.5, target) == metrics.psnr(target + 0.4 / 255, target) == float("inf")


def test_several_at_once():
    scores = metrics.score(tensor(OUTPUT), TARGET, ["ssim-rgb", "psnr-y"], border=4)
    assert list(scores) == ["ssim-rgb", "psnr-y"]
    assert scores["psnr-y"] == pytest.approx(metrics.psnr(OUTPUT, TARGET, channel="y", border=4).mean())
    assert metrics.score(OUTPUT[0], TARGET[0]) == metrics.score(OUTPUT[:1], TARGET[:1])
    assert {"psnr-y", "lpips", "vmaf"} <= set(metrics.names())


def test_what_it_refuses():
    with pytest.raises(ShapeError, match=r"shape \(3, H, W\) or \(T, 3, H, W\), got \(1, 2,"):
        metrics.psnr(tensor(OUTPUT)[None], tensor(TARGET)[None])
    with pytest.raises(ConfigurationError, match=r"metric 'psnr' is unknown; did you mean"):
        metrics.score(OUTPUT, TARGET, ["psnr"])


@pytest.mark.parametrize("name", degradations.names())
def test_every_degradation_by_name(name):
    high = np.tile(TARGET, (1, 2, 2, 1))
    low = degradations.degrade(high[:, :99], name, clip="a")
    assert low.shape == (2, 24, 32, 3)
    np.testing.assert_array_equal(low, degradations.degrade(high[:, :96], name, clip="a"))
