"""Structural similarity."""

import cv2
import numpy as np
import numpy.typing as npt

from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics.colour import Channel
from fedvsr_core.metrics.per_frame import Planes, Scores, score_frames

_RADIUS = 5
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2


def ssim(
    output: npt.NDArray[np.uint8],
    target: npt.NDArray[np.uint8],
    *,
    channel: Channel = "rgb",
    border: int = 0,
) -> float | Scores:
    """Compare frames by the structural similarity of their 11 x 11 neighbourhoods.

    Gaussian window with sigma 1.5, biased moments, and only windows that lie inside the frame, as in the
    authors' MATLAB code; a box window or padding at the border give other numbers. RGB is the mean of the
    three channels.

    Args:
        output: uint8 frame (H, W, 3) or clip (T, H, W, 3), RGB.
        target: The same for the ground truth.
        channel: ``rgb``, or ``y`` for BT.601 luma.
        border: Pixels cut off on all four sides first.

    Returns:
        A number for a frame, an array (T,) for a clip; 1 for identical frames.

    Raises:
        ShapeError: If the two differ in shape, aren't uint8 RGB, or are smaller than the window.

    Source: Wang et al., IEEE TIP 2004, eq. 13.
    """
    return score_frames(_ssim, output, target, channel=channel, border=border)


def _ssim(output: Planes, target: Planes) -> float:
    if min(output.shape[:2]) <= 2 * _RADIUS:
        raise ShapeError(
            f"SSIM needs at least 11x11 pixels inside the border, got {output.shape[1]}x{output.shape[0]}"
        )
    mean_o, mean_t = _smooth(output), _smooth(target)
    squares, product = mean_o**2 + mean_t**2, mean_o * mean_t
    variances = _smooth(output**2 + target**2) - squares
    covariance = _smooth(output * target) - product
    similarity = (2 * product + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variances + _C2))
    return float(similarity.mean())


def _smooth(planes: Planes) -> Planes:
    """Gaussian mean of each window inside the frame: (H, W, C) -> (H - 10, W - 10, C)."""
    weights = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    smooth = np.asarray(cv2.sepFilter2D(planes, cv2.CV_64F, weights, weights), np.float64)
    return smooth.reshape(planes.shape)[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
