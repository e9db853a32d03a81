"""Promises: any number of frames in, as many out, in order, whatever the chunk, in constant memory."""

from collections import deque
from itertools import islice
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor

from fedvsr_core.data.degradation import bicubic_up
from fedvsr_core.inference import upscale
from fedvsr_core.inference.upscale import CONTEXT, upscale_frames
from fedvsr_core.models.contract import SizeNeeds, VideoModel
from fedvsr_core.models.recurrent import Recurrent

CPU = torch.device("cpu")


class Repeat(VideoModel):
    """Repeats pixels, and writes down how many frames it has seen at once."""

    scale = 2

    def __init__(self, needs=SizeNeeds()) -> None:  # noqa: B008 (frozen)
        super().__init__()
        self.needs = needs
        self.lengths = []

    def restore(self, low: Tensor) -> Tensor:
        self.lengths.append(low.shape[1])
        return low.repeat_interleave(2, -1).repeat_interleave(2, -2)


def noise(frames):
    return np.random.default_rng(0).integers(0, 256, (frames, 4, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("frames", [0, 1, 2, 7, 8, 9, 23])
@pytest.mark.parametrize("chunk", [1, 2, 8, 100])
@pytest.mark.parametrize(
    "needs", [SizeNeeds(), SizeNeeds(min_frames=6, frames_multiple=3)], ids=["any", "many"]
)
def test_every_frame_once_in_order(frames, chunk, needs):
    low = noise(frames)
    high = list(upscale_frames(Repeat(needs), iter(low), device=CPU, chunk=chunk))
    assert len(high) == frames
    for one, other in zip(high, low, strict=True):
        np.testing.assert_array_equal(one, other.repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize("chunk", [1, 5])
def test_windows_and_lookahead_are_bounded(chunk):
    model, taken = Repeat(), deque(maxlen=1)
    taken.append(0)

    def source():
        for number in range(200):
            taken.append(number + 1)
            yield np.zeros((2, 2, 3), np.uint8)

    for done, _ in enumerate(islice(upscale_frames(model, source(), device=CPU, chunk=chunk), 150)):
        assert taken[0] - done <= chunk + CONTEXT
    assert max(model.lengths) == chunk + 2 * CONTEXT


def test_an_untrained_network_gives_bicubic():
    # Recurrent starts at MATLAB's bicubic; float32 may round a near tie the other way.
    low = noise(5)
    model = Recurrent(width=4, blocks=1, scale=4).eval()
    high = list(upscale_frames(model, low, device=CPU, chunk=3))
    difference = np.abs(np.array(high).astype(int) - bicubic_up(low))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_values_beyond_the_range_are_clipped():
    class Wild(VideoModel):
        scale = 1

        def restore(self, low: Tensor) -> Tensor:
            return 2 * low - 0.5  # 0.5 -> 0.5, 0 -> -0.5, 1 -> 1.5

    low = np.array([0, 128, 255], np.uint8).reshape(1, 1, 3, 1).repeat(3, axis=3)
    [high] = upscale_frames(Wild(), low, device=CPU, chunk=1)
    # 255 (2 * 128 / 255 - 0.5) = 128.5, which rounds to the even 128 (or 129 by float error)
    assert high[0, :, 0].tolist() in ([0, 128, 255], [0, 129, 255])


class Hungry(torch.nn.Module):
    """Enlarges by repeating pixels, unless it is given more of them than there is memory for."""

    scale = 2

    def __init__(self, pixels):
        super().__init__()
        self.pixels, self.refused = pixels, 0

    def forward(self, low, wanted):
        if low.shape[-1] * low.shape[-2] > self.pixels:
            self.refused += 1
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return low[:, wanted].repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)


def test_smaller_tiles_are_tried_when_memory_runs_out(caplog):
    frames = np.random.default_rng(0).integers(0, 256, (6, 96, 128, 3), dtype=np.uint8)
    model = Hungry(50 * 50)
    high = list(upscale_frames(model, iter(frames), device=torch.device("cpu"), chunk=2))
    np.testing.assert_array_equal(high, frames.repeat(2, axis=1).repeat(2, axis=2))
    assert model.refused == 2  # whole frames, and tiles of 64
    assert "memory ran out: going on with tiles of" in caplog.text


def test_memory_for_nothing_is_one_sentence():
    frames = np.zeros((2, 96, 128, 3), np.uint8)
    with pytest.raises(MemoryError, match=r"there isn't enough memory even for tiles of .* pixels; free"):
        list(upscale_frames(Hungry(1), iter(frames), device=torch.device("cpu"), chunk=2))


def test_frames_before_are_seen_and_not_given_back():
    frames = np.random.default_rng(0).integers(0, 65536, (9, 8, 8, 3), dtype=np.uint16)
    model = Hungry(10**6)
    high = list(upscale_frames(model, iter(frames), device=torch.device("cpu"), chunk=2, before=3, deep=True))
    np.testing.assert_array_equal(high, frames[3:].repeat(2, axis=1).repeat(2, axis=2))


def test_a_chunk_is_rounded_before_its_first_frame_is_given_away():
    # Torch's threads would spin beside whoever encodes a frame if it were called between two of them.
    with mock.patch.object(upscale, "_rounded", wraps=upscale._rounded) as rounded:
        frames = upscale_frames(Repeat(), iter(noise(12)), device=CPU, chunk=5)
        calls = [rounded.call_count for _ in frames]
    assert calls == [5] * 5 + [10] * 5 + [12] * 2
