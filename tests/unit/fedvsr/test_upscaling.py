"""Promises: arrays, tensors and paths are upscaled alike, and what is no clip is refused."""

import cv2
import numpy as np
import pytest
import torch

import fedvsr
from fedvsr_core.errors import ShapeError

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), np.uint8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return fedvsr.build_model("recurrent", width=4, blocks=1).train()


def test_an_array_and_a_tensor_agree(model):
    high = fedvsr.upscale(FRAMES, model)
    assert high.shape == (3, 32, 48, 3)
    assert high.dtype == np.uint8
    low = torch.from_numpy(FRAMES).permute(0, 3, 1, 2) / 255
    for clip in (low, low[None]):
        again = fedvsr.upscale(clip, model)
        assert again.shape == (*clip.shape[:-2], 32, 48)
        assert again.min() >= 0
        assert again.max() <= 1
        rounded = (again.view(3, 3, 32, 48) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        np.testing.assert_array_equal(rounded, high)


def test_a_folder_of_images(model, tmp_path):
    for number, frame in enumerate(FRAMES):
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame[..., ::-1])
    np.testing.assert_array_equal(fedvsr.upscale(tmp_path, model), fedvsr.upscale(FRAMES, model))
    np.testing.assert_array_equal(fedvsr.upscale(str(tmp_path), model), fedvsr.upscale(FRAMES, model))


def test_sixteen_bits_stay_sixteen_bits(model):
    high = fedvsr.upscale(FRAMES.astype(np.uint16) * 257, model)
    assert high.dtype == np.uint16
    assert np.abs(high / 257 - fedvsr.upscale(FRAMES, model)).max() <= 0.5


@pytest.mark.parametrize(
    ("clip", "sentence"),
    [
        (FRAMES[0], r"^frames must be uint8 or uint16 of shape \(T, H, W, 3\), got uint8 and \(8, 12, 3\)$"),
        (FRAMES / 255, r"got float64 and"),
        (FRAMES[:0], r"got uint8 and \(0, 8, 12, 3\)"),
        (torch.zeros(3, 4, 4), r"^a tensor must be of floats in \[0, 1\] and of shape \(B, T, 3, H, W\) or"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), r"got torch\.uint8"),
    ],
)
def test_what_is_no_clip(model, clip, sentence):
    with pytest.raises(ShapeError, match=sentence):
        fedvsr.upscale(clip, model)
