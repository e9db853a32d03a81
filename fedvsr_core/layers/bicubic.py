"""MATLAB-equal bicubic upscaling of tensors, on any device."""

import torch
import torch.nn.functional as F
from torch import Tensor


def bicubic_up(low: Tensor, scale: int) -> Tensor:
    """Upscale images as MATLAB's ``imresize(low, scale, 'bicubic')`` does.

    torch's antialiased kernel has MATLAB's a = -0.5 but truncates at the border where MATLAB mirrors (edge
    repeated); two mirrored pixels a side, cut off afterwards, make them equal.

    Args:
        low: Images (N, C, H, W), any range.
        scale: Integer factor of height and width.

    Returns:
        Images (N, C, sH, sW), not clamped: bicubic interpolation overshoots.
    """
    padded = _mirrored(_mirrored(low, -2), -1)
    high = F.interpolate(padded, scale_factor=scale, mode="bicubic", antialias=True)
    edge = 2 * scale
    return high[..., edge:-edge, edge:-edge]


def _mirrored(images: Tensor, axis: int) -> Tensor:
    """Images with two more pixels at both ends of an axis, mirrored with the edge repeated."""
    size = images.shape[axis]
    second = min(1, size - 1)
    first, last = images.narrow(axis, 0, 1), images.narrow(axis, size - 1, 1)
    inner, outer = images.narrow(axis, second, 1), images.narrow(axis, size - 1 - second, 1)
    return torch.cat([inner, first, images, last, outer], dim=axis)
