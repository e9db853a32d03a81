"""A clip: consecutive frames of one shot, in memory."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]
"""High- or low-resolution frames of shape (T, H, W, 3), RGB."""


@dataclass(frozen=True)
class Clip:
    """Consecutive frames without a shot change.

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
