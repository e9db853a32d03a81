"""Transformer blocks whose attention stays inside shifted windows of space and time."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from fedvsr_core.layers.mlp import Mlp
from fedvsr_core.layers.padded_attention import padded_attention
from fedvsr_core.layers.positions import relative_position_index
from fedvsr_core.layers.windows import Size3, merge, partition, shift_mask


class WindowAttention(nn.Module):
    """Self-attention inside windows, with a learnt bias for each relative position.

    Args:
        width: Channels, a multiple of ``heads``.
        heads: Heads of the attention.
        window: Size of a window.

    Source: Liu et al., "Swin Transformer", ICCV 2021, eq. 4; "Video Swin Transformer", CVPR 2022.
    """

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int, window: Size3) -> None:
        super().__init__()
        self.heads = heads
        positions = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.empty(positions, heads))
        self.register_buffer("relative_position_index", relative_position_index(window))
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
        number, tokens, _ = x.shape
        query, key, value = self.qkv(x).view(number, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        index = self.relative_position_index.flatten()
        bias = self.relative_position_bias_table.index_select(0, index).view(tokens, tokens, -1)
        added = bias.permute(2, 0, 1).contiguous()  # (heads, N, N)
        if mask is not None:  # windows and heads are one axis, over which clips broadcast
            added = (mask[:, None] + added).flatten(0, 1)
            query, key, value = (
                part.reshape(-1, len(added), *part.shape[2:]) for part in (query, key, value)
            )
        attended = padded_attention(query, key, value, added.to(query.dtype), query.shape[-1] ** -0.5)
        attended = attended.reshape(number, self.heads, tokens, -1).transpose(1, 2).reshape(x.shape)
        out: Tensor = self.proj(attended)
        return out


class ShiftedWindowBlock(nn.Module):
    """Window attention, then an MLP, each after a norm and around a shortcut.

    Clips are padded to multiples of the window with zeros, which take part like other tokens, as in the
    published code.

    Args:
        width: Channels.
        heads: Heads of the attention.
        window: Size of a window.
        shifted: Whether windows are shifted by half their height and width.
        drop_path: Probability that a branch is left out in training, for each clip.
    """

    def __init__(self, width: int, heads: int, window: Size3, *, shifted: bool, drop_path: float) -> None:
        super().__init__()
        self.window = window
        self.shifted = shifted
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(inputs=width, hidden=2 * width, outputs=width)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Keeps the shape.

        Args:
            x: Features (B, T, H, W, C).
            mask: As `mask_of` makes it for this size; unused unless shifted.
        """
        x = x + self.drop_path(self._attend(self.norm1(x), mask))
        change: Tensor = self.drop_path(self.mlp(self.norm2(x)))
        return x + change

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        size = x.shape[1:4]
        padding = [-length % side for length, side in zip(size, self.window, strict=True)]
        x = F.pad(x, (0, 0, 0, padding[2], 0, padding[1], 0, padding[0]))
        shift = _shift(self.window)
        if self.shifted:
            x = x.roll([-step for step in shift], dims=(1, 2, 3))
        windows = self.attn(partition(x, self.window), mask if self.shifted else None)
        x = merge(windows, self.window, (x.shape[1], x.shape[2], x.shape[3]))
        if self.shifted:
            x = x.roll(shift, dims=(1, 2, 3))
        return x[:, : size[0], : size[1], : size[2]]


def mask_of(size: Sequence[int], window: Size3, device: torch.device) -> Tensor:
    """What shifted blocks add to their logits for clips of a size: (windows, N, N), 0 or -100.

    Args:
        size: Frames, rows and columns.
        window: Size of a window.
        device: Where the mask is made.
    """
    frames, rows, columns = (length + -length % side for length, side in zip(size, window, strict=True))
    return shift_mask((frames, rows, columns), window, _shift(window), device)


def _shift(window: Size3) -> Size3:
    """A whole window in time, which changes nothing, and half of it in space."""
    return window[0], window[1] // 2, window[2] // 2
