"""A cache of decoded clips in memory, up to a limit."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from math import prod
from threading import Lock
from weakref import WeakValueDictionary

import numpy as np

from fedvsr_core.data.clips import ALL, Box, Cut, Frames, Pixels
from fedvsr_core.data.degradation import MadeLow
from fedvsr_core.data.store import Planes
from fedvsr_core.errors import DataError


class FrameCache:
    """A least-recently-used cache of decoded clips, together no larger than a limit.

    Attributes:
        limit: Bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._frames: OrderedDict[Pixels, Frames] = OrderedDict()
        self._size = 0
        self._lock = Lock()
        self._decoding: WeakValueDictionary[Pixels, Lock] = WeakValueDictionary()
        self._damaged: set[Pixels] = set()

    def wrap(self, pixels: Pixels) -> Pixels:
        """The same pixels, decoded whole when they are first sliced, and cached from then on.

        Arrays and clip stores stay as they are, and so do clips that are larger than the limit.
        """
        match pixels:
            case np.ndarray() | Planes() | CachedPixels():
                return pixels
            case Cut():
                return Cut(self.wrap(pixels.pixels), pixels.box)
            case MadeLow():
                pixels = replace(pixels, high=self.wrap(pixels.high))
                if pixels.degradation.reach is not None:
                    return pixels  # computed from cached frames, as far as it is needed
        return CachedPixels(pixels, self) if prod(pixels.shape) <= self.limit else pixels

    def get(self, pixels: Pixels) -> Frames | None:
        """All frames of these pixels, None if some can't be decoded.

        Evicts the least recently used clips where the limit is exceeded.
        """
        with self._lock:
            decoding = self._decoding.setdefault(pixels, Lock())
        with decoding:  # only one of the threads that need the same clip decodes it
            with self._lock:
                if pixels in self._frames:
                    self._frames.move_to_end(pixels)
                    return self._frames[pixels]
                if pixels in self._damaged:
                    return None
            try:
                frames = pixels[ALL]
            except DataError:
                with self._lock:
                    self._damaged.add(pixels)
                return None
            with self._lock:
                self._frames[pixels] = frames
                self._size += frames.nbytes
                while self._size > self.limit:
                    self._size -= self._frames.popitem(last=False)[1].nbytes
        return frames


@dataclass(frozen=True)
class CachedPixels:
    """Pixels whose decoded frames a cache holds.

    Attributes:
        pixels: What is decoded.
        cache: What holds the decoded frames.
    """

    pixels: Pixels
    cache: FrameCache

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, 3)."""
        return self.pixels.shape

    def __getitem__(self, box: Box, /) -> Frames:
        frames = self.cache.get(self.pixels)
        return self.pixels[box] if frames is None else frames[box]  # what can be read of a damaged clip


def base_of(pixels: Pixels | None) -> Pixels | None:
    """What is decoded to get these pixels; None if nothing has to be, as for arrays and clip stores."""
    match pixels:
        case None | np.ndarray() | Planes():
            return None
        case Cut() | CachedPixels():
            return base_of(pixels.pixels)
        case MadeLow() if pixels.degradation.reach is not None:
            return base_of(pixels.high)
        case _:
            return pixels


def decoded_size(pixels: Pixels | None) -> int:
    """Bytes of these pixels when all are decoded."""
    return 0 if pixels is None else prod(pixels.shape)
