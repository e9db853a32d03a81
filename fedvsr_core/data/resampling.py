"""Resampling frames along both axes with given taps, in float64."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedvsr_core.data.clips import Frames
from fedvsr_core.errors import ShapeError

FloatArray = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Taps:
    """A resampling of one axis: output pixel ``i`` is ``sum_k weights[i, k] * input[positions[i, k]]``.

    Attributes:
        positions: Input positions, (out, taps); the border rule is applied already, so all lie inside.
        weights: Weights, (out, taps).
    """

    positions: Positions
    weights: FloatArray


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
    size = len(rows.weights), len(columns.weights)
    out = np.empty((*frames.shape[:-3], *size, 3), np.uint8)
    for index in np.ndindex(frames.shape[:-3]):
        lines = frames[index].astype(np.float64).reshape(height, width * 3)
        turned = _resample_lines(lines, rows).reshape(size[0], width, 3).transpose(1, 0, 2)  # (W, H', 3)
        lines = _resample_lines(turned.reshape(width, size[0] * 3), columns)  # (W', H'*3)
        np.clip(lines, 0, 255, out=lines)
        lines += 0.5
        out[index] = lines.astype(np.uint8).reshape(size[1], size[0], 3).transpose(1, 0, 2)
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


def _resample_lines(lines: FloatArray, taps: Taps) -> FloatArray:
    """Resample the first axis: (size, n) -> (out, n)."""
    result = np.empty((len(taps.weights), lines.shape[1]))
    for out, positions, weights in zip(result, taps.positions, taps.weights, strict=True):
        # Not a matrix product: the threads of BLAS fight each other where clients share the cores.
        np.einsum("k,kn->n", weights, lines[positions], out=out)
    return result


def _resample_on(frames: Frames, rows: Taps, columns: Taps, device: str) -> Frames:
    import torch  # not at the top: most users of this module, such as workers that prepare clips, do without

    height, width = frames.shape[-3:-1]
    down, across = (
        torch.from_numpy(_matrix(taps, size)).to(device) for taps, size in ((rows, height), (columns, width))
    )
    planes = torch.from_numpy(np.ascontiguousarray(frames)).to(device).double().movedim(-1, -3)
    result = (down @ planes @ across.T).clamp_(0, 255).add_(0.5).to(torch.uint8)
    return np.asarray(result.movedim(-3, -1).cpu().numpy())


def _matrix(taps: Taps, size: int) -> FloatArray:
    """The resampling as a matrix (out, size)."""
    matrix = np.zeros((len(taps.weights), size))
    np.add.at(matrix, (np.arange(len(matrix))[:, None], taps.positions), taps.weights)
    return matrix
