"""Structural similarity."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics.colour import Channel
from fedvsr_core.metrics.kernels import C1, C2, RADIUS, similarity
from fedvsr_core.metrics.per_frame import Frames, Planes, Scores, score_frames, score_on_device


def ssim(
    output: Frames,
    target: Frames,
    *,
    channel: Channel = "rgb",
    border: int = 0,
    device: torch.device | None = None,
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
        device: Computes batches of frames in torch there, to the same values; None: numpy.

    Returns:
        A number for a frame, an array (T,) for a clip; 1 for identical frames.

    Raises:
        ShapeError: If the two differ in shape, aren't uint8 RGB, or are smaller than the window.

    Source: Wang et al., IEEE TIP 2004, eq. 13.
    """
    if device is None:
        return score_frames(_ssim, output, target, channel=channel, border=border)
    return score_on_device(_ssim_batch, output, target, channel=channel, border=border, device=device)


def _ssim(output: Planes, target: Planes) -> float:
    height, width, channels = output.shape
    _check(height, width)
    rows, truth = (planes.reshape(height, width * channels) for planes in (output, target))
    return min(similarity(rows, truth, channels, _weights()), 1.0)  # equal frames: but for rounding


def _ssim_batch(output: Tensor, target: Tensor) -> Tensor:
    """The same as batches of convolutions: (N, C, H, W) -> (N,)."""
    _check(output.shape[-2], output.shape[-1])
    mean_o, mean_t = _smooth(output), _smooth(target)
    squares, product = mean_o**2 + mean_t**2, mean_o * mean_t
    variances = _smooth(output**2 + target**2) - squares
    covariance = _smooth(output * target) - product
    similar = (2 * product + C1) * (2 * covariance + C2) / ((squares + C1) * (variances + C2))
    return similar.mean((1, 2, 3))


def _smooth(planes: Tensor) -> Tensor:
    """Gaussian mean of each window inside the frame: (N, C, H, W) -> (N, C, H - 10, W - 10)."""
    weights = torch.from_numpy(_weights()).to(planes.device)
    rows = F.conv2d(planes.flatten(0, 1)[:, None], weights.view(1, 1, -1, 1))
    smooth = F.conv2d(rows, weights.view(1, 1, 1, -1))
    return smooth.view(*planes.shape[:2], *smooth.shape[-2:])


def _weights() -> Planes:
    weights = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * 1.5**2))
    return np.asarray(weights / weights.sum())


def _check(height: int, width: int) -> None:
    if min(height, width) <= 2 * RADIUS:
        raise ShapeError(f"SSIM needs at least 11x11 pixels inside the border, got {width}x{height}")
