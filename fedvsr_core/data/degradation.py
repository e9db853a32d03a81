"""Making low-resolution frames: MATLAB's bicubic resizing and the two published Gaussian blurs."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import numpy as np

from fedvsr_core.components import Count
from fedvsr_core.data.clips import ALL, Box, Frames, Pixels
from fedvsr_core.data.resampling import FloatArray, Taps, mirrored, reflected, resample
from fedvsr_core.errors import ShapeError


@dataclass(frozen=True)
class Place:
    """Where frames that are to be degraded lie in their clip.

    Attributes:
        clip: Name of the clip.
        first: Number of the first frame.
        top: First row, in low-resolution pixels.
        left: First column, in low-resolution pixels.
        height: Height of the whole clip, in low-resolution pixels.
        width: Width of the whole clip, in low-resolution pixels.
    """

    clip: str
    first: int
    top: int
    left: int
    height: int
    width: int


class Degradation(Protocol):
    """What a yaml of ``conf/degradation`` builds: makes low-resolution frames.

    The same frame of the same clip always comes out the same. A crop of it does too, if what is given
    surrounds it by `reach` (or ends with the frame) and begins at multiples of `grid`.
    """

    @property
    def scale(self) -> int:
        """Factor from low to high resolution."""

    @property
    def reach(self) -> int | None:
        """Low-resolution pixels around a crop that it depends on; None: it depends on the whole clip."""

    @property
    def grid(self) -> int:
        """Low-resolution pixels from one place where a crop may begin to the next."""

    def __call__(self, frames: Frames, place: Place | None = None) -> Frames:
        """Degrade frames (T, sH, sW, 3) to (T, H, W, 3); without a place they are a clip without a name."""


@dataclass(frozen=True)
class MadeLow:
    """Low-resolution frames that are made, as far as needed, when they are sliced.

    Attributes:
        high: High-resolution frames; height and width are multiples of the scale.
        degradation: Makes the low-resolution ones.
        clip: Name of the clip.
    """

    high: Pixels
    degradation: Degradation
    clip: str

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, 3)."""
        frames, height, width, _ = self.high.shape
        return frames, height // self.degradation.scale, width // self.degradation.scale, 3

    def __getitem__(self, box: Box, /) -> Frames:
        frames, height, width, _ = self.shape
        reach = self.degradation.reach
        if reach is None:
            return self.degradation(self.high[ALL], Place(self.clip, 0, 0, 0, height, width))[box]
        first, stop, _ = box[0].indices(frames)
        rows, inner_rows = self._around(box[1], height, reach)
        columns, inner_columns = self._around(box[2], width, reach)
        scale = self.degradation.scale
        high_rows, high_columns = (slice(side.start * scale, side.stop * scale) for side in (rows, columns))
        high = self.high[first:stop, high_rows, high_columns]
        place = Place(self.clip, first, rows.start, columns.start, height, width)
        return self.degradation(high, place)[:, inner_rows, inner_columns]

    def _around(self, wanted: slice, size: int, reach: int) -> tuple[slice, slice]:
        """What must be degraded to get the wanted rows or columns, and where these then lie in it."""
        first, stop, _ = wanted.indices(size)
        begin = max(first - reach, 0) // self.degradation.grid * self.degradation.grid
        return slice(begin, min(stop + reach, size)), slice(first - begin, stop - begin)


@dataclass(frozen=True)
class Bicubic:
    """The degradation "BI": MATLAB's ``imresize(frame, 1/scale, 'bicubic')`` in double precision.

    Attributes:
        scale: Factor from low to high resolution.
        device: Where to compute, as for `resample`; changes nothing else.
    """

    scale: Count
    device: str | None = field(default=None, compare=False, repr=False)
    reach: ClassVar[int] = 2
    grid: ClassVar[int] = 1

    def __call__(self, frames: Frames, place: Place | None = None) -> Frames:
        """Degrade frames (..., sH, sW, 3) to (..., H, W, 3), uint8."""
        return bicubic_down(frames, self.scale, self.device)


@dataclass(frozen=True)
class GaussianBlur:
    """The degradation "BD": a Gaussian blur of sigma 1.6, then every fourth pixel.

    Attributes:
        taps: 12 for `bd12`, which most papers mean, or 13 for `bd13`, that of DUF.
        scale: 4, the one they are defined for.
        device: Where to compute, as for `resample`; changes nothing else.
    """

    taps: Literal[12, 13]
    scale: Count
    device: str | None = field(default=None, compare=False, repr=False)
    reach: ClassVar[int] = 2
    grid: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.taps not in (12, 13):
            raise ShapeError(f"taps must be 12 (as in BasicVSR) or 13 (as in DUF), got {self.taps}")
        _check_blur_scale(f"bd{self.taps}", self.scale)

    def __call__(self, frames: Frames, place: Place | None = None) -> Frames:
        """Degrade frames (..., 4H, 4W, 3) to (..., H, W, 3), uint8."""
        return (bd12 if self.taps == 12 else bd13)(frames, self.scale, self.device)


def modcrop(frames: Frames, scale: int) -> Frames:
    """Drop rows at the bottom and columns at the right until both are multiples of ``scale``.

    Args:
        frames: Frames (..., H, W, 3).
        scale: Factor from low to high resolution, >= 1.

    Returns:
        A view of the frames.

    Raises:
        ShapeError: If nothing would be left.
    """
    height, width = frames.shape[-3:-1]
    if height < scale or width < scale:
        raise ShapeError(
            f"frames must be at least {scale} x {scale} pixels for scale {scale}, got {width} x {height}"
        )
    return frames[..., : height - height % scale, : width - width % scale, :]


def bicubic_down(frames: Frames, scale: int = 4, device: str | None = None) -> Frames:
    """Shrink frames as MATLAB's ``imresize`` does, with its anti-aliasing; the field's "BI".

    Args:
        frames: High-resolution uint8 frames (..., sH, sW, 3), cropped by `modcrop` first.
        scale: Whole factor, >= 1.
        device: Where to compute, as for `resample`.

    Returns:
        Frames (..., H, W, 3), rounded to uint8 once at the end (MATLAB's "double path").

    Raises:
        ShapeError: If ``frames`` isn't uint8 of shape (..., H, W, 3) or is smaller than ``scale``.

    Source: Keys, IEEE TASSP 1981 (a = -0.5); MATLAB's border rule: mirrored, the edge pixel repeated.
    """
    return resample(modcrop(frames, scale), lambda size: _bicubic_taps(size, size // scale), device)


def bicubic_half(plane: FloatArray) -> FloatArray:
    """Shrink one plane (2H, 2W) to (H, W) as `bicubic_down` does, without rounding."""
    rows, columns = (_bicubic_taps(size, size // 2).matrix(size) for size in plane.shape)
    return rows @ plane @ columns.T


def bicubic_up(frames: Frames, scale: int = 4) -> Frames:
    """Enlarge frames as MATLAB's ``imresize(frame, scale, 'bicubic')`` does: the baseline of every table.

    Args:
        frames: Low-resolution uint8 frames (..., H, W, 3).
        scale: Whole factor, >= 1.

    Returns:
        Frames (..., sH, sW, 3) uint8.

    Raises:
        ShapeError: If ``frames`` isn't uint8 of shape (..., H, W, 3).
    """
    return resample(frames, lambda size: _bicubic_taps(size, size * scale))


def bd12(frames: Frames, scale: int = 4, device: str | None = None) -> Frames:
    """Blur with a 12 x 12 Gaussian, sigma 1.6, and keep every fourth pixel: the "BD" of most papers.

    A low pixel ``j`` lies at high position ``4j + 1.5``, as in BI. The border is replicated.

    Args:
        frames: High-resolution uint8 frames (..., 4H, 4W, 3), cropped by `modcrop` first.
        scale: 4, the one it is defined for.
        device: Where to compute, as for `resample`.

    Returns:
        Frames (..., H, W, 3) uint8.

    Raises:
        ShapeError: If ``frames`` isn't uint8 of shape (..., H, W, 3), or ``scale`` isn't 4.

    Source: BasicVSR (CVPR 2021) and its successors. Networks trained on `bd13` fail on it.
    """
    _check_blur_scale("bd12", scale)
    return resample(modcrop(frames, scale), _bd12_taps, device)


def bd13(frames: Frames, scale: int = 4, device: str | None = None) -> Frames:
    """Blur with a 13 x 13 Gaussian, sigma 1.6, and keep every fourth pixel: the "BD" of DUF.

    A low pixel ``j`` lies at high position ``4j``: 1.5 pixels up and left of BI and `bd12`. The border is
    mirrored without repeating the edge.

    Args:
        frames: High-resolution uint8 frames (..., 4H, 4W, 3), cropped by `modcrop` first.
        scale: 4, the one it is defined for.
        device: Where to compute, as for `resample`.

    Returns:
        Frames (..., H, W, 3) uint8.

    Raises:
        ShapeError: If ``frames`` isn't uint8 of shape (..., H, W, 3), or ``scale`` isn't 4.

    Source: DUF (CVPR 2018), PFNL.
    """
    _check_blur_scale("bd13", scale)
    return resample(modcrop(frames, scale), _bd13_taps, device)


def _check_blur_scale(name: str, scale: int) -> None:
    if scale != 4:
        raise ShapeError(f"{name} is defined for scale 4, got {scale}; use bicubic_down for other scales")


def _bicubic_taps(size: int, out: int) -> Taps:
    """MATLAB's taps from ``size`` to ``out`` pixels; one of them is a multiple of the other."""
    stretch = max(size / out, 1.0)  # the kernel is widened only when shrinking: the anti-aliasing
    centres = ((np.arange(out) + 0.5) * size / out - 0.5)[:, None]
    first = np.floor(centres - 2 * stretch).astype(np.intp) + 1
    positions = first + np.arange(int(4 * stretch))  # (out, taps)
    weights = _cubic((centres - positions) / stretch)
    return Taps(mirrored(positions, size), weights / weights.sum(axis=1, keepdims=True))


def _cubic(x: FloatArray) -> FloatArray:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _bd12_taps(size: int) -> Taps:
    positions = 4 * np.arange(size // 4)[:, None] + np.arange(-4, 8)
    return Taps(np.clip(positions, 0, size - 1), _gaussian(np.arange(-5.5, 6), size // 4))


def _bd13_taps(size: int) -> Taps:
    positions = 4 * np.arange(size // 4)[:, None] + np.arange(-6, 7)
    return Taps(reflected(positions, size), _gaussian(np.arange(-6.0, 7), size // 4))


def _gaussian(offsets: FloatArray, out: int) -> FloatArray:
    weights = np.exp(-(offsets**2) / (2 * 1.6**2))
    return np.broadcast_to(weights / weights.sum(), (out, len(weights)))
