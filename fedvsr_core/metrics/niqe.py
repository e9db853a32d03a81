"""NIQE, how far the statistics of a frame are from those of natural pictures; needs no ground truth."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import gamma

import cv2
import numpy as np
import numpy.typing as npt
import torch

from fedvsr_core.data.degradation import bicubic_half
from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics.colour import luma
from fedvsr_core.metrics.niqe_model import natural_covariance, natural_mean
from fedvsr_core.metrics.per_frame import Frames, Scores

Floats = npt.NDArray[np.float64]

BLOCK = 96
"""Rows and columns of a block, for which the natural pictures were measured."""
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
_SHAPES = np.arange(200, 10_001) / 1000
"""Shapes that a distribution may have; 2 is Gaussian."""


def niqe(frames: Frames) -> float | Scores:
    """Compare frames with natural pictures; lower is more natural, and no ground truth is needed.

    The rounded luma of a frame and of half its size is divided by its local contrast. Of each block of 96x96
    pixels, 36 parameters describe how these values, and the products of neighbours, are distributed. The
    score is the distance of their mean from that of natural pictures, measured by both covariances. Flat
    blocks, such as bars of black, are left out, and so are the rows and columns that no block covers.

    Args:
        frames: uint8 frame (H, W, 3) or clip (T, H, W, 3), RGB.

    Returns:
        A number for a frame, an array (T,) for a clip; NaN where fewer than two blocks aren't flat.

    Raises:
        ShapeError: If ``frames`` isn't uint8 RGB, or has fewer than two blocks.

    Source: Mittal et al., IEEE Signal Processing Letters 2013; borders and rounding of the authors' release.
    """
    if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or frames.shape[-1] != 3:
        raise ShapeError(
            f"NIQE needs uint8 frames (H, W, 3) or (T, H, W, 3), got {frames.dtype} of {frames.shape}"
        )
    rows, columns = (size // BLOCK for size in frames.shape[-3:-1])
    if rows * columns < 2:
        raise ShapeError(
            f"NIQE needs at least two blocks of {BLOCK}x{BLOCK} pixels, got a frame of"
            f" {frames.shape[-2]}x{frames.shape[-3]}"
        )
    inside = frames[..., : rows * BLOCK, : columns * BLOCK, :]
    if frames.ndim == 3:
        return _of_frame(inside)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return np.array(list(pool.map(_of_frame, inside)))


def _of_frame(frame: Frames) -> float:
    plane = np.round(luma(frame))
    features = np.concatenate([_features(plane, BLOCK), _features(bicubic_half(plane), BLOCK // 2)], axis=1)
    whole = features[~np.isnan(features).any(axis=1)]
    if len(whole) < 2:
        return float("nan")
    difference = natural_mean() - whole.mean(axis=0)
    covariance = (natural_covariance() + np.cov(whole, rowvar=False)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference))


def _features(plane: Floats, size: int) -> Floats:
    """What describes each block of a plane, (blocks, 18); a flat block has NaN."""
    mean = _blurred(plane)
    contrast = np.sqrt(np.abs(_blurred(plane * plane) - mean * mean))
    values = (plane - mean) / (contrast + 1)
    values[np.abs(values) < 1e-9] = 0  # else rounding errors decide where nothing differs
    rows, columns = plane.shape[0] // size, plane.shape[1] // size
    blocks = values.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, size, size)
    shape, left, right, _ = _fit(blocks)
    features = [shape, (left + right) / 2]
    for step in _NEIGHBOURS:
        shape, left, right, spread = _fit(blocks * np.roll(blocks, step, axis=(1, 2)))
        features += [shape, (right - left) * spread, left, right]
    return np.stack(features, axis=1)


def _blurred(plane: Floats) -> Floats:
    blurred = cv2.GaussianBlur(plane, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float64)


def _fit(blocks: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Fit an asymmetric generalised Gaussian to each block by its moments, eq. 4 and 5.

    Returns:
        Shape, scale to the left and to the right of zero, and the factor of the mean; each (blocks,).
    """
    ratios, scales, spreads = _tables()
    values = blocks.reshape(len(blocks), -1)
    squares = values * values
    with np.errstate(invalid="ignore", divide="ignore"):  # of flat blocks
        left, right = (
            np.sqrt((squares * side).sum(axis=1) / side.sum(axis=1)) for side in (values < 0, values > 0)
        )
        skew = left / right
        ratio = np.abs(values).mean(axis=1) ** 2 / squares.mean(axis=1)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    above = np.searchsorted(ratios, ratio).clip(1, len(ratios) - 1)
    nearest = above - (ratio - ratios[above - 1] <= ratios[above] - ratio)
    return _SHAPES[nearest], left * scales[nearest], right * scales[nearest], spreads[nearest]


@cache
def _tables() -> tuple[Floats, Floats, Floats]:
    """Of each shape: squared mean magnitude by variance, scale by deviation, and mean by scale."""
    one, two, three = (np.array([gamma(number / shape) for shape in _SHAPES]) for number in (1, 2, 3))
    return two**2 / (one * three), np.sqrt(one / three), two / one
