"""Alignment of a feature by attention over the pixels around each sampling point."""

import math

import torch
from torch import Tensor, nn

_SIZE = 2  # pixels of the window in each direction
_TEMPERATURE = 0.01
_EPS = 1e-6


class ImplicitAlignment(nn.Module):
    """Cross-attention from each pixel to the 2 x 2 pixels around the point that its flow leads to.

    Where between these pixels the point lies is given by a sinusoidal encoding, so that resampling is learnt
    instead of fixed to bilinear interpolation. The result jumps where a point crosses a pixel's centre.

    Args:
        width: Channels, a multiple of 4 and of ``heads``.
        heads: Heads of the attention.

    Source: Xu et al., "Enhancing Video Super-Resolution via Implicit Resampling-based Alignment", CVPR 2024.
    """

    position_bias: Tensor
    window_idx_offset: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        window = torch.tensor([[row, column] for row in range(_SIZE) for column in range(_SIZE)])
        # As published, positions in the window are divided by its last index, those of the query by its size.
        encoded = _encode(window.float() / (_SIZE - 1 + _EPS) * (2 * math.pi), width)
        self.register_buffer("position_bias", encoded[None])  # (1, 4, C)
        self.register_buffer("window_idx_offset", window)
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)

    def forward(self, source: Tensor, target: Tensor, flow: Tensor) -> Tensor:
        """Align a feature to another frame.

        Args:
            source: The feature, (N, C, H, W).
            target: The feature of the frame that it is aligned to, (N, C, H, W).
            flow: Displacement (u, v) from target to source in pixels, (N, 2, H, W).

        Returns:
            The aligned feature, (N, C, H, W).
        """
        batch, width, height, columns = source.shape
        point = _sampling_points(flow)  # (N, H*W, 2), row first
        corner = point.floor()
        near = corner[:, :, None] + self.window_idx_offset.to(corner.dtype)  # (N, H*W, 4, 2)
        row, column = near[..., 0].clamp(0, height - 1).long(), near[..., 1].clamp(0, columns - 1).long()
        index = (row * columns + column).flatten(1)[..., None].expand(-1, -1, width)  # (N, H*W*4, C)
        pixels = source.flatten(2).transpose(1, 2)  # (N, H*W, C)
        window = pixels.gather(1, index).view(batch, -1, _SIZE**2, width) + self.position_bias
        between = (point - corner) / (_SIZE + _EPS) * (2 * math.pi)
        query = target.flatten(2).transpose(1, 2) + _encode(between, width)

        depth = width // self.heads
        q = self.q(query).view(batch, -1, 1, self.heads, depth) * depth**-0.5
        k, v = (layer(window).view(batch, -1, _SIZE**2, self.heads, depth) for layer in (self.k, self.v))
        attention = (q * k).sum(dim=-1, keepdim=True).softmax(dim=2)  # (N, H*W, 4, heads, 1)
        aligned: Tensor = (attention * v).sum(dim=2).flatten(2)  # (N, H*W, C)
        return aligned.transpose(1, 2).reshape(batch, width, height, columns)


def _sampling_points(flow: Tensor) -> Tensor:
    """Row and column that each pixel's flow leads to, (N, H*W, 2), in float32 at least."""
    precise = torch.promote_types(flow.dtype, torch.float32)
    rows, columns = (torch.arange(size, dtype=precise, device=flow.device) for size in flow.shape[-2:])
    points = torch.stack([rows[:, None] + flow[:, 1], columns + flow[:, 0]], dim=-1)  # (N, H, W, 2)
    return points.flatten(1, 2)


def _encode(position: Tensor, width: int) -> Tensor:
    """Sinusoidal encoding of (row, column) in radians, (..., 2) -> (..., width): rows in the first half."""
    half = width // 2
    order = torch.arange(half, dtype=torch.float32, device=position.device)
    period = _TEMPERATURE ** (2 * torch.div(order, 2, rounding_mode="floor") / half)
    angle = position[..., None] / period  # (..., 2, half)
    return torch.where(order % 2 == 0, angle.sin(), angle.cos()).flatten(-2)
