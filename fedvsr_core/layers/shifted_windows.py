"""Transformer blocks whose attention stays inside shifted windows of space and time."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

Window = tuple[int, int, int]
"""Frames, rows and columns."""

_MASKED = -100.0


class WindowAttention(nn.Module):
    """Self-attention inside windows, with a learnt bias for each relative position.

    Args:
        width: Channels, a multiple of ``heads``.
        heads: Heads of the attention.
        window: Size of a window.

    Source: Liu et al., "Swin Transformer", ICCV 2021, eq. 4; "Video Swin Transformer", CVPR 2022.
    """

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int, window: Window) -> None:
        super().__init__()
        self.heads = heads
        positions = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.empty(positions, heads))
        self.register_buffer("relative_position_index", _relative_positions(window))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend inside each window.

        Args:
            x: Tokens by window, (B * windows, N, C); the windows of a clip follow each other.
            mask: What is added to the logits of each window, (windows, N, N), or None.

        Returns:
            Tokens (B * windows, N, C).
        """
        number, tokens, width = x.shape
        q, k, v = self.qkv(x).view(number, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        logits = (q * (width // self.heads) ** -0.5) @ k.transpose(-2, -1)  # (B * windows, heads, N, N)
        bias = self.relative_position_bias_table[self.relative_position_index]  # (N, N, heads)
        logits = logits + bias.permute(2, 0, 1)
        if mask is not None:
            logits = (logits.view(-1, len(mask), *logits.shape[1:]) + mask[:, None]).view_as(logits)
        attended = (logits.softmax(dim=-1) @ v).transpose(1, 2).reshape(x.shape)
        out: Tensor = self.proj(attended)
        return out


class ShiftedWindowBlock(nn.Module):
    """Window attention, then an MLP, each after a norm and around a shortcut.

    Windows that stick out are filled with zeros, which take part like other tokens, as in the published code.

    Args:
        width: Channels.
        heads: Heads of the attention.
        window: Size of a window.
        shifted: Whether windows are shifted by half their height and width.
        drop_path: Probability that a branch is left out in training, for each clip.
    """

    def __init__(self, width: int, heads: int, window: Window, *, shifted: bool, drop_path: float) -> None:
        super().__init__()
        self.window = window
        self.shifted = shifted
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _Mlp(width)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Keeps the shape.

        Args:
            x: Features (B, T, H, W, C).
            mask: As `shift_mask` makes it for this size; unused unless shifted.
        """
        x = x + self.drop_path(self._attend(self.norm1(x), mask))
        change: Tensor = self.drop_path(self.mlp(self.norm2(x)))
        return x + change

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, *size, width = x.shape
        padding = [-length % side for length, side in zip(size, self.window, strict=True)]
        x = F.pad(x, (0, 0, 0, padding[2], 0, padding[1], 0, padding[0]))
        shift = _shift(self.window)
        if self.shifted:
            x = x.roll([-step for step in shift], dims=(1, 2, 3))
        windows = _partition(x, self.window)  # (B * windows, N, C)
        windows = self.attn(windows, mask if self.shifted else None)
        x = _merge(windows, (batch, *x.shape[1:4], width), self.window)
        if self.shifted:
            x = x.roll(shift, dims=(1, 2, 3))
        return x[:, : size[0], : size[1], : size[2]]


def shift_mask(size: Sequence[int], window: Window, device: torch.device) -> Tensor:
    """Keep apart what only shifting brings into one window.

    Args:
        size: Frames, rows and columns.
        window: Size of a window.
        device: Where the mask is made.

    Returns:
        0 where tokens may attend to each other, else -100; (windows, N, N).
    """
    label = torch.zeros((), device=device)
    for length, side, step in zip(size, window, _shift(window), strict=True):
        padded = length + -length % side
        place = torch.arange(padded, device=device)
        segment = (place >= padded - side).float() + (place >= padded - step)
        label = 3 * label[..., None] + segment
    labels = _partition(label[None, ..., None], window)[..., 0]  # (windows, N)
    return (labels[:, :, None] != labels[:, None]) * _MASKED


def _shift(window: Window) -> Window:
    """A whole window in time, which changes nothing, and half of it in space."""
    return window[0], window[1] // 2, window[2] // 2


def _partition(x: Tensor, window: Window) -> Tensor:
    """Cut (B, T, H, W, C) into windows, (B * windows, N, C)."""
    batch, frames, rows, columns, width = x.shape
    deep, high, wide = window
    x = x.view(batch, frames // deep, deep, rows // high, high, columns // wide, wide, width)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, deep * high * wide, width)


def _merge(windows: Tensor, shape: tuple[int, ...], window: Window) -> Tensor:
    """Undo `_partition`."""
    batch, frames, rows, columns, width = shape
    deep, high, wide = window
    x = windows.view(batch, frames // deep, rows // high, columns // wide, deep, high, wide, width)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(shape)


def _relative_positions(window: Window) -> Tensor:
    """For each pair of tokens, the row of the bias table that belongs to their distance; (N, N)."""
    axes = torch.meshgrid(*(torch.arange(side) for side in window), indexing="ij")
    places = torch.stack(axes).flatten(1)  # (3, N)
    distance = places[:, :, None] - places[:, None]
    index = torch.zeros_like(distance[0])
    for axis, side in enumerate(window):
        index = index * (2 * side - 1) + distance[axis] + side - 1
    return index


class _Mlp(nn.Module):
    """Two layers, the hidden one twice as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * width)
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out
