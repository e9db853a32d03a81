"""Seeded training batches: random windows and crops of a client's clips."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedvsr_core.data.clips import Clip, Frames
from fedvsr_core.data.resampling import reflected
from fedvsr_core.errors import DataError
from fedvsr_core.settings import Training


@dataclass(frozen=True)
class Draw:
    """Where one training sample is taken from, and how it is turned.

    Attributes:
        clip: Number of the clip.
        start: First frame of the window.
        top: First row of the crop, in low-resolution pixels.
        left: First column of the crop, in low-resolution pixels.
        flip_rows: Whether it is turned upside down.
        flip_columns: Whether it is mirrored.
        transpose: Whether rows and columns are swapped; with the flips, this makes rotations by 90 degrees.
        reverse: Whether time runs backwards.
    """

    clip: int
    start: int
    top: int
    left: int
    flip_rows: bool
    flip_columns: bool
    transpose: bool
    reverse: bool


class Batches:
    """A client's batches of one round; iterating twice gives the same ones twice.

    Sample ``i`` is a pure function of (seed, i): a clip in proportion to its windows and its area, then a
    window, a crop and a turn, all equally likely. A clip shorter than the window is continued by reflection.

    Attributes:
        clips: The client's clips, with their low-resolution frames.
        training: Number of steps, samples a batch, frames a window, and size of the crops.
        patch: Height and width of the low-resolution crops: as wanted, or the shortest side of any clip.
        seed: Seed of all draws, >= 0.
        num_windows: Windows in one pass over the clips, the number of examples this client trains on.

    Raises:
        DataError: If there are no clips, or a clip has no low-resolution frames.
    """

    def __init__(self, clips: Sequence[Clip], training: Training, *, seed: int) -> None:
        if not clips:
            raise DataError(
                "expected at least one clip to train on, got none; give this client a part of the data"
            )
        self.clips = clips
        self.training = training
        self.seed = seed
        self._lows = [_low_of(clip) for clip in clips]
        self.patch = min(training.patch, *(min(low.shape[1:3]) for low in self._lows))
        self._scale = clips[0].high.shape[1] // self._lows[0].shape[1]
        self._windows = [max(len(clip) - training.window + 1, 1) for clip in clips]
        self.num_windows = sum(self._windows)
        areas = [low.shape[1] * low.shape[2] for low in self._lows]
        self._bounds = np.cumsum([number * area for number, area in zip(self._windows, areas, strict=True)])

    def __len__(self) -> int:
        if self.training.epochs is None:
            return self.training.steps
        return math.ceil(self.training.epochs * self.num_windows / self.training.batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield low (B, T, 3, H, W) and high (B, T, 3, sH, sW) in [0, 1], one pair for each step."""
        size = self.training.batch
        for step in range(len(self)):
            samples = [self.sample(self.draw(index)) for index in range(step * size, (step + 1) * size)]
            lows, highs = zip(*samples, strict=True)
            yield torch.stack(lows).float().div_(255), torch.stack(highs).float().div_(255)

    def draw(self, index: int) -> Draw:
        """Decide where sample ``index`` comes from."""
        rng = np.random.default_rng((self.seed, index))
        clip = int(np.searchsorted(self._bounds, rng.integers(self._bounds[-1]), side="right"))
        height, width = self._lows[clip].shape[1:3]
        turns = rng.integers(2, size=4).astype(bool).tolist()
        return Draw(
            clip,
            int(rng.integers(self._windows[clip])),
            int(rng.integers(height - self.patch + 1)),
            int(rng.integers(width - self.patch + 1)),
            *turns,
        )

    def sample(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """Cut out one sample: low (T, 3, H, W) and high (T, 3, sH, sW), uint8."""
        low = _cut(self._lows[draw.clip], draw, self.training.window, self.patch, 1)
        return low, _cut(self.clips[draw.clip].high, draw, self.training.window, self.patch, self._scale)

    def digest(self) -> str:
        """Hexadecimal digest of all draws, by clip names: equal digests mean equal batches."""
        digest = blake2b(digest_size=16)
        for index in range(len(self) * self.training.batch):
            draw = self.draw(index)
            digest.update(
                f"{self.clips[draw.clip].name} {self.training.window} {self.patch} {draw}\n".encode()
            )
        return digest.hexdigest()


def _low_of(clip: Clip) -> Frames:
    if clip.low is None:
        raise DataError(f"clip '{clip.name}' has no low-resolution frames; degrade it before training")
    return clip.low


def _cut(frames: Frames, draw: Draw, window: int, patch: int, scale: int) -> Tensor:
    top, left, size = draw.top * scale, draw.left * scale, patch * scale
    times = reflected(np.arange(draw.start, draw.start + window), len(frames))
    cut: npt.NDArray[np.uint8] = frames[
        times[:: -1 if draw.reverse else 1], top : top + size, left : left + size
    ]
    cut = cut[:, :: -1 if draw.flip_rows else 1, :: -1 if draw.flip_columns else 1]
    cut = cut.transpose(0, 3, 2, 1) if draw.transpose else cut.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(cut))
