"""Decoded clips that stay in memory, up to a limit."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from math import prod
from threading import Lock
from weakref import WeakValueDictionary

import numpy as np

from fedvsr_core.data.clips import ALL, Box, Cut, Frames, Pixels
from fedvsr_core.data.degradation import MadeLow
from fedvsr_core.data.store import Planes


class FrameCache:
    """Keeps the clips that were used last, together no larger than a limit.

    Attributes:
        limit: Bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[Pixels, Frames] = OrderedDict()
        self._size = 0
        self._lock = Lock()
        self._turns: WeakValueDictionary[Pixels, Lock] = WeakValueDictionary()

    def keep(self, pixels: Pixels) -> Pixels:
        """The same pixels, decoded whole when they are first sliced and remembered from then on.

        Arrays and clip stores stay as they are, and so do clips that are larger than the limit.
        """
        match pixels:
            case np.ndarray() | Planes() | Kept():
                return pixels
            case Cut():
                return Cut(self.keep(pixels.pixels), pixels.box)
            case MadeLow():
                pixels = replace(pixels, high=self.keep(pixels.high))
                if pixels.degradation.reach is not None:
                    return pixels  # made of what is kept, as far as it is needed
        return Kept(pixels, self) if prod(pixels.shape) <= self.limit else pixels

    def get(self, pixels: Pixels) -> Frames:
        """All frames of these pixels; forgets what wasn't used for longest to make room."""
        with self._lock:
            turn = self._turns.setdefault(pixels, Lock())
        with turn:  # of the threads that want the same, one decodes
            with self._lock:
                if pixels in self._kept:
                    self._kept.move_to_end(pixels)
                    return self._kept[pixels]
            frames = pixels[ALL]
            with self._lock:
                self._kept[pixels] = frames
                self._size += frames.nbytes
                while self._size > self.limit:
                    self._size -= self._kept.popitem(last=False)[1].nbytes
        return frames


@dataclass(frozen=True)
class Kept:
    """Pixels that a memory remembers.

    Attributes:
        pixels: What is remembered.
        memory: Where.
    """

    pixels: Pixels
    memory: FrameCache

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, 3)."""
        return self.pixels.shape

    def __getitem__(self, box: Box, /) -> Frames:
        return self.memory.get(self.pixels)[box]


def base_of(pixels: Pixels | None) -> Pixels | None:
    """What is decoded to get these pixels; None if nothing has to be, as for arrays and clip stores."""
    match pixels:
        case None | np.ndarray() | Planes():
            return None
        case Cut() | Kept():
            return base_of(pixels.pixels)
        case MadeLow() if pixels.degradation.reach is not None:
            return base_of(pixels.high)
        case _:
            return pixels


def decoded_size(pixels: Pixels | None) -> int:
    """Bytes of these pixels when all are decoded."""
    return 0 if pixels is None else prod(pixels.shape)
