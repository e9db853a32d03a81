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
    rows, columns = (_mirrored(size, low.device) for size in low.shape[-2:])
    padded = low[..., rows, :][..., columns]
    high = F.interpolate(padded, scale_factor=scale, mode="bicubic", antialias=True)
    edge = 2 * scale
    return high[..., edge:-edge, edge:-edge]


def _mirrored(size: int, device: torch.device) -> Tensor:
    """Indices -2 .. size+1 reflected into 0 .. size-1 with the edge repeated."""
    index = torch.arange(-2, size + 2, device=device) % (2 * size)
    return torch.where(index < size, index, 2 * size - 1 - index)
