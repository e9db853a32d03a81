"""Seeded training batches: windows and crops of a client's clips, prepared ahead of the training step."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedvsr_core.data.clips import Pixels
from fedvsr_core.data.resampling import reflected
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError
from fedvsr_core.seeds import derive
from fedvsr_core.settings import Training

T = TypeVar("T")

_log = logging.getLogger(__name__)

CPU = torch.device("cpu")
_DRAWS = 20
"""Draws of a sample before the data are given up."""


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

    Sample ``i`` is a pure function of (seed, i), so that it doesn't matter who prepares it, or when. With a
    number of steps, it is of a clip in proportion to its windows and its area, then of a window, a crop and
    a turn, all equally likely. With a number of epochs, each of them takes every window once, in an order of
    its own, and crops and turns are as before. A clip shorter than the window is continued by reflection. A
    clip that can't be read where it is drawn is named, once, and that sample drawn anew.

    Args:
        shots: The client's clips, with their low-resolution frames. Those that are smaller than the crop are
            left out, with a warning.
        training: Number of steps or epochs, samples a batch, frames a window, size of the crops, and how they
            are turned.
        seed: Seed of all draws, >= 0.
        workers: Threads that prepare batches ahead of the one that is asked for.
        device: Where the batches are needed. Crops are sent to a CUDA device as they are read, from memory
            that it reads by itself, and turned there.

    Attributes:
        num_windows: Windows in one pass over the clips, the number of examples this client trains on.

    Raises:
        DataError: If there are no clips, or all are too small, or one has no low-resolution frames.
    """

    def __init__(
        self,
        shots: Sequence[Shot],
        training: Training,
        *,
        seed: int,
        workers: int = 1,
        device: torch.device = CPU,
    ) -> None:
        self.shots = [shot for shot in shots if _fits(shot, training.patch)]
        if not self.shots:
            why = f"none of the {len(shots)} is large enough" if shots else "got none"
            raise DataError(
                f"expected clips of at least {training.patch}x{training.patch} low-resolution pixels to train"
                f" on, {why}; give this client a part of the data, or lower training.patch"
            )
        self.training = training
        self.seed = seed
        self.workers = workers
        self.device = device
        self._share = 0, 1  # of each batch
        self._windows = [max(shot.frames - training.window + 1, 1) for shot in self.shots]
        self.num_windows = sum(self._windows)
        areas = [_low(shot).shape[1] * _low(shot).shape[2] for shot in self.shots]
        self._bounds = np.cumsum([number * area for number, area in zip(self._windows, areas, strict=True)])
        self._ends = np.cumsum(self._windows)
        self._epoch: tuple[int, npt.NDArray[np.int64]] | None = None
        self._damaged: dict[int, str] = {}  # clips, and what is wrong with each
        self._tries: dict[int, int] = {}  # of samples that were drawn anew

    def __len__(self) -> int:
        if self.training.epochs is None:
            return self.training.steps
        return ceil(self.training.epochs * self.num_windows / self.training.batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield low (B, T, 3, H, W) and high (B, T, 3, sH, sW), uint8, one pair for each step."""
        return prefetched(self.batch, len(self), workers=self.workers)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of one step; `to_float` makes it what a network takes."""
        size, (share, shares) = self.training.batch, self._share
        indices = range(step * size, (step + 1) * size)[share * size // shares : (share + 1) * size // shares]
        samples = [self._readable(index) for index in indices]
        lows, highs = zip(*samples, strict=True)
        return torch.stack(lows), torch.stack(highs)

    def share_of(self, rank: int, count: int) -> Self:
        """The same batches for one of several processes, cut to its equal share of each.

        Args:
            rank: Which process, from 0.
            count: How many there are.
        """
        own = copy(self)
        own._share = rank, count
        return own

    def draw(self, index: int, attempt: int = 0) -> Draw:
        """Decide where sample ``index`` comes from; ``attempt`` counts the draws that couldn't be read."""
        rng = np.random.default_rng((self.seed, index, attempt) if attempt else (self.seed, index))
        window = int(rng.integers(self._bounds[-1]))
        flip_rows, flip_columns, transpose, reverse = rng.integers(2, size=4).astype(bool).tolist()
        if self.training.epochs is None or attempt:
            clip = int(np.searchsorted(self._bounds, window, side="right"))
            start = int(rng.integers(self._windows[clip]))
        else:
            window = int(self._order(index // self.num_windows)[index % self.num_windows])
            clip = int(np.searchsorted(self._ends, window, side="right"))
            start = window - int(self._ends[clip]) + self._windows[clip]
        height, width = _low(self.shots[clip]).shape[1:3]
        top = int(rng.integers(height - self.training.patch + 1))
        left = int(rng.integers(width - self.training.patch + 1))
        allowed = self.training.augment
        transpose = transpose and "rotations" in allowed
        if "flips" not in allowed:  # only those that make rotations of transpositions
            flip_rows = flip_rows and "rotations" in allowed
            flip_columns = flip_rows != transpose
        reverse = reverse and "reversal" in allowed
        return Draw(clip, start, top, left, flip_rows, flip_columns, transpose, reverse)

    def sample(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """Cut out one sample: low (T, 3, H, W) and high (T, 3, sH, sW), uint8."""
        shot, window, patch = self.shots[draw.clip], self.training.window, self.training.patch
        low = _low(shot)
        scale = shot.height // low.shape[1]
        return (
            self._turned(_cut(low, draw, window, patch, 1), draw),
            self._turned(_cut(shot.high, draw, window, patch, scale), draw),
        )

    def digest(self) -> str:
        """Hexadecimal digest of all draws from clips of these sizes: equal digests mean equal batches.

        It leaves the site, so no name is part of it: whoever guesses one could see that the guess is right.
        """
        digest = blake2b(digest_size=16)
        sizes = f"{self.training.window} {self.training.patch}"
        for index in range(len(self) * self.training.batch):
            draw = self.draw(index, self._tries.get(index, 0))
            digest.update(f"{_low(self.shots[draw.clip]).shape} {sizes} {draw}\n".encode())
        return digest.hexdigest()

    def _readable(self, index: int) -> tuple[Tensor, Tensor]:
        """Cut out sample ``index``, drawn anew while what was drawn can't be read.

        Raises:
            DataError: If nothing that is drawn can be read.
        """
        for attempt in range(_DRAWS):
            draw = self.draw(index, attempt)
            try:
                sample = self.sample(draw)
            except DataError as error:
                if draw.clip not in self._damaged:
                    self._damaged[draw.clip] = str(error)
                    _log.warning(
                        "left out where it is damaged: clip '%s': %s", self.shots[draw.clip].name, error
                    )
                continue
            if attempt:
                self._tries[index] = attempt
            return sample
        raise DataError(
            f"{len(self._damaged)} of {len(self.shots)} clips can't be read, such as: "
            f"{next(iter(self._damaged.values()))}; 'fedvsr data check' shows all of them"
        )

    def _turned(self, cut: Tensor, draw: Draw) -> Tensor:
        """A crop as it was drawn, on the device."""
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):  # a thread's own is the first, whatever the process's is
                cut = cut.pin_memory().to(self.device, non_blocking=True)
        flips = [
            axis for axis, flip in ((0, draw.reverse), (2, draw.flip_rows), (3, draw.flip_columns)) if flip
        ]
        cut = cut.flip(flips) if flips else cut
        return cut.transpose(2, 3).contiguous() if draw.transpose else cut

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        """The windows in the order of an epoch; the last one asked for is cached."""
        known = self._epoch  # read once: other threads replace it
        if known is None or known[0] != epoch:
            rng = np.random.default_rng(derive(self.seed, "epoch", epoch))
            self._epoch = known = epoch, rng.permutation(self.num_windows)
        return known[1]


def to_float(batch: Tensor, device: torch.device) -> Tensor:
    """Frames on a device, float in [0, 1]; uint8 ones are moved as they are, a quarter of the bytes."""
    batch = batch.to(device, non_blocking=True)
    return batch.float().div_(255) if batch.dtype == torch.uint8 else batch


def prefetched(make: Callable[[int], T], count: int, *, workers: int) -> Iterator[T]:
    """Yield ``make(0)`` to ``make(count - 1)`` in order, while threads prefetch the next ones.

    Args:
        make: Makes one thing; called from several threads at once.
        count: How many.
        workers: Threads. Each prefetches one thing; 0 makes everything when it is asked for.
    """
    if not workers:
        yield from map(make, range(count))
        return
    with ThreadPoolExecutor(workers, "batches") as pool:
        waiting = deque(pool.submit(make, number) for number in range(min(workers + 1, count)))
        try:
            for number in range(len(waiting), count + len(waiting)):
                result = waiting.popleft().result()
                if number < count:
                    waiting.append(pool.submit(make, number))
                yield result
        finally:
            for future in waiting:
                future.cancel()


def _fits(shot: Shot, patch: int) -> bool:
    height, width = _low(shot).shape[1:3]
    if min(height, width) >= patch:
        return True
    _log.warning(
        "left out: clip '%s' has low-resolution frames of %dx%d, smaller than the crop of %dx%d",
        shot.name,
        width,
        height,
        patch,
        patch,
    )
    return False


def _low(shot: Shot) -> Pixels:
    if shot.low is None:
        raise DataError(f"clip '{shot.name}' has no low-resolution frames; degrade it before training")
    return shot.low


def _cut(pixels: Pixels, draw: Draw, window: int, patch: int, scale: int) -> Tensor:
    """Read a crop of a window: (T, 3, H, W)."""
    top, left, size = draw.top * scale, draw.left * scale, patch * scale
    rows, columns = slice(top, top + size), slice(left, left + size)
    frames = pixels[draw.start : draw.start + window, rows, columns].transpose(0, 3, 1, 2)
    if len(frames) < window:
        frames = frames[reflected(np.arange(window), len(frames))]
    return torch.from_numpy(np.array(frames, order="C"))  # whole rows: fast, where turning them first isn't
