"""Resampling frames along both axes with given taps, in float64."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fedvsr_core.data import kernels
from fedvsr_core.data.clips import Frames
from fedvsr_core.errors import ShapeError

FloatArray = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Taps:
    """A resampling of one axis: output pixel ``i`` is ``sum_k weights[i, k] * input[positions[i, k]]``.

    Attributes:
        positions: Input positions, (out, taps); the border rule is applied already, so all lie inside.
        weights: Weights, (out, taps).
    """

    positions: Positions
    weights: FloatArray

    def matrix(self, size: int) -> FloatArray:
        """The resampling of an axis of ``size`` pixels as a matrix (out, size)."""
        matrix = np.zeros((len(self.weights), size))
        np.add.at(matrix, (np.arange(len(matrix))[:, None], self.positions), self.weights)
        return matrix


def resample(frames: Frames, axis_taps: Callable[[int], Taps], device: str | None = None) -> Frames:
    """Resample height, then width, of each frame; clip, then round half up, once at the end.

    Args:
        frames: uint8 frames (..., H, W, 3).
        axis_taps: Gives the taps of an axis of a given size.
        device: A device of torch that computes in float64, such as ``cuda``; None computes here.

    Returns:
        uint8 frames (..., H', W', 3), the same wherever they are computed.

    Raises:
        ShapeError: If ``frames`` isn't uint8 of shape (..., H, W, 3).
    """
    if frames.dtype != np.uint8 or frames.ndim < 3 or frames.shape[-1] != 3:
        raise ShapeError(
            f"frames must be uint8 of shape (..., H, W, 3), got {frames.dtype} of {frames.shape}"
        )
    height, width = frames.shape[-3:-1]
    rows, columns = axis_taps(height), axis_taps(width)
    if device is not None:
        return _resample_on(frames, rows, columns, device)
    out = np.empty((*frames.shape[:-3], len(rows.weights), len(columns.weights), 3), np.uint8)
    down, across = ((_compact(taps.positions), _compact(taps.weights)) for taps in (rows, columns))
    for index in np.ndindex(frames.shape[:-3]):
        kernels.resample(_compact(frames[index]), *down, *across, out[index])
    return out


def mirrored(positions: Positions, size: int) -> Positions:
    """Bring positions inside ``[0, size)`` by mirroring that repeats the edge: -1 is 0, -2 is 1."""
    positions = positions % (2 * size)
    return np.minimum(positions, 2 * size - 1 - positions)


def reflected(positions: Positions, size: int) -> Positions:
    """Bring positions inside ``[0, size)`` by mirroring at the edge: -1 is 1, -2 is 2."""
    period = max(2 * (size - 1), 1)  # of one pixel, all positions are 0
    positions = positions % period
    return np.minimum(positions, period - positions) if size > 1 else positions


def _compact(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The array itself if the loop knows its layout, else a copy."""
    return np.require(array, requirements=["C", "W"])


def _resample_on(frames: Frames, rows: Taps, columns: Taps, device: str) -> Frames:
    import torch  # not at the top: most users of this module, such as workers that prepare clips, do without

    height, width = frames.shape[-3:-1]
    down, across = (
        torch.from_numpy(taps.matrix(size)).to(device) for taps, size in ((rows, height), (columns, width))
    )
    planes = torch.from_numpy(np.ascontiguousarray(frames)).to(device).double().movedim(-1, -3)
    result = (down @ planes @ across.T).clamp_(0, 255).add_(0.5).to(torch.uint8)
    return np.asarray(result.movedim(-3, -1).cpu().numpy())
