"""Frames: in memory, or wherever else a box of them can be sliced from."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]
"""High- or low-resolution frames of shape (T, H, W, 3), RGB."""

MOST_PIXELS = 2**27
"""Of a frame that is read, 16384x8192: beyond, a header alone could take gigabytes."""

Box = tuple[slice, slice, slice]
"""Which frames, rows and columns; steps are 1."""

ALL: Box = (slice(None), slice(None), slice(None))
"""Every frame, whole."""


class Pixels(Protocol):
    """Frames (T, H, W, 3), uint8 RGB, that are read or decoded when sliced; any array is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, 3), known without decoding."""

    def __getitem__(self, box: Box, /) -> Frames:
        """The frames, rows and columns of a box, as an array."""


@dataclass(frozen=True)
class Cut:
    """A box of other pixels; a view.

    Attributes:
        pixels: What it is cut from.
        box: Where; ``start`` and ``stop`` of each slice lie inside.
    """

    pixels: Pixels
    box: Box

    def __hash__(self) -> int:
        return hash((self.pixels, *((side.start, side.stop) for side in self.box)))  # slices have none

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, 3)."""
        return (*(side.stop - side.start for side in self.box), 3)

    def __getitem__(self, box: Box, /) -> Frames:
        inner = [side.indices(size) for side, size in zip(box, self.shape[:3], strict=True)]
        frames, rows, columns = (
            slice(outer.start + start, outer.start + stop)
            for outer, (start, stop, _) in zip(self.box, inner, strict=True)
        )
        return self.pixels[frames, rows, columns]


@dataclass(frozen=True)
class Clip:
    """Consecutive frames without a shot change, in memory.

    Attributes:
        name: Unique among the clips of a dataset, such as ``bikes/030-069``.
        high: High-resolution frames, (T, sH, sW, 3) uint8 RGB; height and width are multiples of ``s``.
        low: The degraded frames, (T, H, W, 3) uint8 RGB, or None where they are still to be made.
    """

    name: str
    high: Frames
    low: Frames | None = None

    def __len__(self) -> int:
        return len(self.high)
