"""Promises: a folder is a dataset of PyTorch whose items depend on seed and epoch alone."""

import pickle

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import fedvsr
from fedvsr_core.errors import ConfigurationError, DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two clips of 4 and 3 frames of 48x64."""
    root = tmp_path_factory.mktemp("clips")
    generator = np.random.default_rng(0)
    for name, frames in (("a", 4), ("b", 3)):
        (root / name).mkdir()
        for number in range(frames):
            frame = cv2.resize(generator.integers(0, 256, (6, 8, 3), np.uint8), (64, 48))
            cv2.imwrite(str(root / name / f"{number:03}.png"), frame)
    return root


def test_items(folder):
    data = fedvsr.ClipDataset(folder, frames=2, patch=8)
    assert len(data) == 3 + 2
    low, high = data[0]
    assert low.shape == (2, 3, 8, 8)
    assert high.shape == (2, 3, 32, 32)
    assert low.dtype == high.dtype == torch.float32
    assert low.min() >= 0
    assert high.max() <= 1
    assert torch.equal(data[-1][0], data[4][0])
    with pytest.raises(IndexError, match=r"^the dataset has 5 windows, got index 5$"):
        data[5]


def test_low_frames_are_the_high_ones_degraded(folder):
    low, high = fedvsr.ClipDataset(folder, frames=1, patch=12, augment=())[0]  # as high as the frame
    whole = (high * 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    made = fedvsr.degradations.bicubic_down(whole)
    inside = (low * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()[:, :, 2:-2]
    np.testing.assert_array_equal(inside, made[:, :, 2:-2])


def test_an_epoch_takes_each_window_once_and_each_epoch_is_another(folder):
    data = fedvsr.ClipDataset(folder, frames=2, patch=12, augment=())
    seen = []
    for epoch in (0, 1, 0):
        data.set_epoch(epoch)
        seen.append([data[index][0] for index in range(len(data))])
    assert all(torch.equal(first, again) for first, again in zip(seen[0], seen[2], strict=True))
    assert not all(torch.equal(first, other) for first, other in zip(seen[0], seen[1], strict=True))
    other = fedvsr.ClipDataset(folder, frames=2, patch=12, augment=(), seed=1)
    assert not all(torch.equal(first, other[index][0]) for index, first in enumerate(seen[0]))


def test_a_loader_takes_it_and_it_travels_to_its_processes(folder):
    data = fedvsr.ClipDataset(folder, frames=2, patch=8, degradation="bd12")
    batches = list(DataLoader(data, batch_size=2))
    assert [len(low) for low, _ in batches] == [2, 2, 1]
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again[3][1], data[3][1])


def test_a_clip_store(folder, tmp_path):
    from fedvsr.data.prepare import Preparation, prepare
    from fedvsr_core.data.layouts.detect import detect

    shots = [(shot, False) for shot in detect(str(folder), scale=4).train()]
    how = Preparation(
        scale=4,
        degradation={"_target_": "fedvsr_core.data.degradation.Bicubic", "scale": 4},
        shot_threshold=None,
        duplicate_threshold=0,
        min_frames=1,
    )
    assert [clip.problem for clip in prepare(shots, tmp_path / "store", how, workers=1)] == [None, None]
    stored, plain = (fedvsr.ClipDataset(place, frames=2, patch=8) for place in (tmp_path / "store", folder))
    for index in range(len(plain)):
        assert torch.equal(stored[index][0], plain[index][0])


def test_what_it_refuses(folder, tmp_path):
    with pytest.raises(DataError, match=r"^there is no folder '.*none'"):
        fedvsr.ClipDataset(tmp_path / "none")
    with pytest.raises(DataError, match=r"has no held-out clips$"):
        fedvsr.ClipDataset(folder, held_out=True)
    with pytest.raises(ConfigurationError, match=r"there is no degradation 'bi12'; did you mean 'bd12'"):
        fedvsr.ClipDataset(folder, degradation="bi12")
