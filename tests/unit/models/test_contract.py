"""Promises: a network gets clips of the size it declares, and the caller gets the size that was asked for."""

import pytest
import torch

from fedvsr_core.errors import ShapeError
from fedvsr_core.models.contract import SizeNeeds, VideoModel


class Nearest(VideoModel):
    """Repeats pixels, and remembers the size it was given."""

    def __init__(self, needs, scale=2):
        super().__init__()
        self.needs = needs
        self.scale = scale

    def restore(self, low):
        self.seen = low
        return low.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


@pytest.mark.parametrize(
    ("needs", "size", "padded"),
    [
        (SizeNeeds(), (5, 7), (5, 7)),
        (SizeNeeds(multiple=4), (8, 4), (8, 4)),
        (SizeNeeds(multiple=4), (5, 7), (8, 8)),
        (SizeNeeds(minimum=6), (5, 7), (6, 7)),
        (SizeNeeds(multiple=4, minimum=10), (5, 13), (12, 16)),
        (SizeNeeds(multiple=8, minimum=64), (1, 1), (64, 64)),
    ],
    ids=str,
)
def test_clips_are_padded_and_the_result_is_cropped(needs, size, padded):
    model, low = Nearest(needs), torch.rand(2, 3, 3, *size, generator=torch.Generator().manual_seed(0))
    high = model(low)
    assert model.seen.shape == (2, 3, 3, *padded)
    assert high.shape == (2, 3, 3, 2 * size[0], 2 * size[1])
    torch.testing.assert_close(high[..., ::2, ::2], low)


def test_the_padding_repeats_the_edge():
    model, low = Nearest(SizeNeeds(minimum=4)), torch.arange(6.0).view(1, 1, 1, 2, 3).expand(1, 1, 3, 2, 3)
    model(low)
    assert model.seen[0, 0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]


@pytest.mark.parametrize(
    "shape", [(3, 4, 4), (2, 3, 4, 4), (1, 2, 1, 4, 4), (1, 2, 4, 4, 3), (1, 1, 2, 3, 4, 4)]
)
def test_what_is_no_clip(shape):
    with pytest.raises(ShapeError, match=r"^a clip must have shape \(B, T, 3, H, W\), got \("):
        Nearest(SizeNeeds())(torch.zeros(shape))


@pytest.mark.parametrize(
    ("frames", "sound"), [(1, False), (2, False), (3, False), (4, True), (5, False), (6, True)]
)
def test_frames_that_a_network_takes(frames, sound):
    model, low = Nearest(SizeNeeds(min_frames=4, frames_multiple=2)), torch.zeros(1, frames, 3, 2, 2)
    if sound:
        assert model(low).shape[1] == frames
    else:
        sentence = f"^Nearest takes clips of at least 4 frames in multiples of 2, got {frames}; change"
        with pytest.raises(ShapeError, match=sentence):
            model(low)


def test_a_network_must_say_how_it_restores():
    assert VideoModel.restore.__isabstractmethod__
