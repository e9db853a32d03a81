"""Promises: a network gets clips of the size it declares, and the caller gets the size that was asked for."""

import pytest
import torch
from torch import nn

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
    "shape",
    [
        (3, 4, 4),
        (2, 3, 4, 4),
        (1, 2, 1, 4, 4),
        (1, 2, 4, 4, 3),
        (1, 1, 2, 3, 4, 4),
        (1, 0, 3, 4, 4),
        (1, 2, 3, 0, 4),
    ],
    ids=str,
)
def test_what_is_no_clip(shape):
    with pytest.raises(ShapeError, match=r"^a clip must have shape \(B, T, 3, H, W\), got \("):
        Nearest(SizeNeeds())(torch.zeros(shape))


@pytest.mark.parametrize(
    ("frames", "seen"),
    [
        (1, [0, 0, 0, 0]),
        (2, [0, 1, 0, 1]),
        (3, [0, 1, 2, 1]),
        (4, [0, 1, 2, 3]),
        (5, [0, 1, 2, 3, 4, 3]),
        (6, [0, 1, 2, 3, 4, 5]),
    ],
    ids=str,
)
def test_clips_with_too_few_frames_are_reflected_and_cut(frames, seen):
    model = Nearest(SizeNeeds(min_frames=4, frames_multiple=2))
    low = torch.arange(float(frames)).view(1, frames, 1, 1, 1).expand(2, frames, 3, 2, 2)
    high = model(low)
    assert model.seen[0, :, 0, 0, 0].tolist() == seen
    assert high[1, :, 0, 0, 0].tolist() == list(range(frames))


class Square(VideoModel):
    """A part that counts how often it is computed."""

    late = ("slow",)
    calls = 0

    def __init__(self):
        super().__init__()
        self.slowly = nn.Conv2d(3, 3, 1)
        self.fast = nn.Conv2d(3, 3, 1)

    def square(self, x):
        self.calls += 1
        return x * x

    def restore(self, low):
        return self.part(self.square, self.slowly(low.flatten(0, 1)))[None]


@pytest.mark.parametrize(
    ("checkpointing", "training", "calls"), [(False, True, 1), (True, True, 2), (True, False, 1)]
)
def test_checkpointing_computes_twice_and_changes_nothing(checkpointing, training, calls):
    torch.manual_seed(0)
    model, low = Square(), torch.rand(1, 1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = (model.slowly(low[0]) ** 2).sum()
    gradient = torch.autograd.grad(expected, model.slowly.weight)[0]
    model.scale, model.checkpointing = 1, checkpointing
    with torch.set_grad_enabled(training):
        total = model(low).sum()
    if training:
        total.backward()
        torch.testing.assert_close(model.slowly.weight.grad, gradient)
    torch.testing.assert_close(total, expected)
    assert model.calls == calls


def test_late_parameters_by_a_word_in_their_name():
    assert Square().late_parameters() == ["slowly.weight", "slowly.bias"]
    assert Nearest(SizeNeeds()).late_parameters() == []


def test_a_network_must_say_how_it_restores():
    assert VideoModel.restore.__isabstractmethod__
