"""Relative and absolute positions of the tokens of a window.

Source: relative bias as in Liu et al., "Video Swin Transformer", CVPR 2022; sine table as in Carion et al.,
"End-to-End Object Detection with Transformers", ECCV 2020, with positions scaled to 2 pi.
"""

import math

import torch
from torch import Tensor

from fedvsr_core.layers.windows import Size3


def relative_position_index(window: Size3) -> Tensor:
    """Row of the bias table for each pair of tokens of a window.

    Args:
        window: Frames, rows and columns.

    Returns:
        Int64 (n, n), query first: the displacement from key to query, 2w-1 values an axis, columns fastest.
    """
    axes = torch.meshgrid(*(torch.arange(long) for long in window), indexing="ij")
    index = torch.zeros((), dtype=torch.int64)
    for place, long in zip((axis.flatten() for axis in axes), window, strict=True):
        index = index * (2 * long - 1) + (place[:, None] - place[None, :] + long - 1)
    return index


def sine_positions(height: int, width: int, channels: int) -> Tensor:
    """Sines and cosines of a pixel's row (first half of the channels) and column (second half).

    Args:
        height: Rows of the window.
        width: Columns of the window.
        channels: A multiple of four.

    Returns:
        Float32 (1, height * width, channels), in row-major order.
    """
    half = channels // 2
    wavelength = 10000 ** (2 * (torch.arange(half) // 2) / half)
    waves = []
    for long in (height, width):
        angle = torch.arange(1, long + 1)[:, None] / (long + 1e-6) * 2 * math.pi / wavelength  # (long, half)
        waves.append(torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=-1).flatten(1))
    rows, columns = waves[0][:, None].expand(-1, width, -1), waves[1].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)[None]
