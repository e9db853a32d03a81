"""Large frames through a network in overlapping tiles, faded into one another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fedvsr_core.errors import ConfigurationError


@dataclass(frozen=True)
class Tiling:
    """How a frame is cut up.

    Attributes:
        size: Height and width of a tile in low-resolution pixels; None: whole frames.
        overlap: Low-resolution pixels that neighbours share, at least.

    Raises:
        ConfigurationError: If tiles don't reach beyond their overlaps.
    """

    size: int | None = None
    overlap: int = 16

    def __post_init__(self) -> None:
        if self.overlap < 0 or (self.size is not None and self.size <= 2 * self.overlap):
            raise ConfigurationError(
                f"a tile must be larger than two overlaps, got tile {self.size} and overlap {self.overlap}"
            )

    def smaller(self, side: int) -> "Tiling":
        """Tiles of about half the height and width.

        Args:
            side: The longer side of the frames that are cut.

        Raises:
            MemoryError: If they hardly reach beyond their overlaps already.
        """
        before = min(self.size or side, side)
        size = max(before // 2 // 8 * 8, 2 * self.overlap + 8)
        if size >= before:
            raise MemoryError(
                f"there isn't enough memory even for tiles of {before} pixels; free"
                " some, or upscale fewer frames at once with --chunk"
            )
        return Tiling(size, self.overlap)


WHOLE = Tiling(None)


def restore_tiled(
    restore: Callable[[Tensor], Tensor], low: Tensor, *, scale: int, tiling: Tiling, frames: int | None = None
) -> Tensor:
    """Restore a clip a tile at a time; where tiles overlap, one fades into the other.

    Args:
        restore: Upscales a clip (1, T, 3, h, w) to (1, T', 3, sh, sw).
        low: The clip, (1, T, 3, H, W).
        scale: s.
        tiling: How to cut it; frames that fit into one tile aren't cut.
        frames: T', how many frames ``restore`` gives back; None: all.

    Returns:
        Frames (1, T', 3, sH, sW): where ``restore`` leaves them, or on the CPU, where tiles are put together.
    """
    height, width = low.shape[-2:]
    if tiling.size is None or max(height, width) <= tiling.size:
        return restore(low)
    total = torch.zeros(1, frames or low.shape[1], low.shape[2], scale * height, scale * width)
    weights = torch.zeros(scale * height, scale * width)
    for top, bottom, fade_down in _spans(height, tiling.size, tiling.overlap, scale):
        for left, right, fade_across in _spans(width, tiling.size, tiling.overlap, scale):
            high = restore(low[..., top:bottom, left:right]).float().cpu()
            weight = fade_down[:, None] * fade_across
            place = (..., slice(scale * top, scale * bottom), slice(scale * left, scale * right))
            total[place] += high * weight
            weights[place] += weight
    return total / weights


def _spans(length: int, size: int, overlap: int, scale: int) -> Iterator[tuple[int, int, Tensor]]:
    """Tiles along one axis, the last one moved inside, and the weight of each of their high pixels."""
    starts = [*range(0, length - size, size - overlap), max(length - size, 0)]
    size = min(size, length)
    for start in starts:
        ramp = torch.arange(1, scale * size + 1, dtype=torch.float32) / (scale * overlap + 1)
        fade = torch.ones(scale * size)
        if start > 0:
            fade = torch.minimum(fade, ramp)
        if start + size < length:
            fade = torch.minimum(fade, ramp.flip(0))
        yield start, start + size, fade
