"""A stack of window attention layers over a clip, every second one with shifted windows.

Source: Liang et al., "VRT: A Video Restoration Transformer", 2022; RVRT (NeurIPS 2022) uses the same.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchvision.ops import StochasticDepth

from fedvsr_core.devices import return_freed_memory
from fedvsr_core.layers.mlp import GatedMlp, Mlp
from fedvsr_core.layers.window_attention import WindowAttention
from fedvsr_core.layers.windows import Size3, fitted, merge, partition, shift_mask

_TOKENS = 4096
"""Largest number of tokens at once in a feed-forward part on a CPU."""


class AttentionBlock(nn.Module):
    """Attention, then a feed-forward part, each over a normalised input and added to it.

    Attributes:
        checkpoint_attention: Whether attention is recomputed in the backward pass.
        checkpoint_mlp: The same of the feed-forward part.
    """

    def __init__(self, *, width: int, attention: WindowAttention, mlp: GatedMlp | Mlp, drop: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = attention
        self.norm2 = nn.LayerNorm(width)
        self.mlp = mlp
        self.drop = StochasticDepth(drop, mode="row")
        self.checkpoint_attention = False
        self.checkpoint_mlp = False

    def forward(self, x: Tensor, window: Size3, shift: Size3, mask: Tensor | None) -> Tensor:
        """(B, T, H, W, C) -> (B, T, H, W, C)."""
        x = x + self.drop(
            _call_checkpointed(self.checkpoint_attention, self._attention, x, window, shift, mask)
        )
        y: Tensor = x + self.drop(_call_checkpointed(self.checkpoint_mlp, self._feed_forward, x))
        return y

    def _attention(self, x: Tensor, window: Size3, shift: Size3, mask: Tensor | None) -> Tensor:
        frames, height, width = x.shape[1:4]
        # Padding comes after the norm: tokens outside the clip are zero, and are attended to as well.
        padded = F.pad(self.norm1(x), _padding((frames, height, width), window))
        size = (padded.shape[1], padded.shape[2], padded.shape[3])
        if mask is not None:
            padded = padded.roll([-by for by in shift], dims=(1, 2, 3))
        y = merge(self.attn(partition(padded, window), mask), window, size)
        if mask is not None:
            y = y.roll(shift, dims=(1, 2, 3))
        return y[:, :frames, :height, :width]

    def _feed_forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(0, -2)
        # A CPU takes some at a time: hidden channels stay in its caches, and don't fragment its heap.
        pieces = tokens.split(_TOKENS) if x.device.type == "cpu" else [tokens]
        return torch.cat([self.mlp(self.norm2(piece)) for piece in pieces]).view(x.shape)


class AttentionGroup(nn.Module):
    """Attention layers, the first not shifted, the second shifted by half a window, and so on.

    Args:
        width: Channels.
        window: Frames, rows and columns of a window.
        heads: Attention heads.
        mutual: Whether the two frames of a window also attend to each other.
        gated: Whether the feed-forward part is gated, as in VRT, or plain, as in RVRT.
        mlp_ratio: Hidden width of the feed-forward part over `width`.
        drops: Probability that a layer's branches are dropped in training, one for each layer.
        bias: Whether queries, keys and values have one.
        scale: Of the logits; None means 1 / sqrt(width / heads).
    """

    def __init__(
        self,
        *,
        width: int,
        window: Size3,
        heads: int,
        mutual: bool,
        gated: bool,
        mlp_ratio: float,
        drops: Sequence[float],
        bias: bool = True,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        self.window = window
        kind = GatedMlp if gated else Mlp
        self.blocks = nn.ModuleList(
            AttentionBlock(
                width=width,
                attention=WindowAttention(
                    width=width, window=window, heads=heads, mutual=mutual, bias=bias, scale=scale
                ),
                mlp=kind(inputs=width, hidden=int(width * mlp_ratio), outputs=width),
                drop=drop,
            )
            for drop in drops
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) of any size -> (B, T, H, W, C)."""
        size = (x.shape[1], x.shape[2], x.shape[3])
        window, shift = fitted(size, self.window)
        padding = _padding(size, window)
        padded = (size[0] + padding[-1], size[1] + padding[-3], size[2] + padding[-5])
        mask = None
        if any(shift) and len(self.blocks) > 1:
            mask = shift_mask(padded, window, shift, x.device)
        for number, block in enumerate(self.blocks):
            x = block(x, window, shift, mask if number % 2 else None)
        if self.blocks[0].checkpoint_mlp and x.requires_grad and x.device.type == "cpu":
            return_freed_memory()
        return x


class ResidualGroup(nn.Module):
    """Attention layers and a linear one, added to their input."""

    def __init__(self, group: AttentionGroup, width: int) -> None:
        super().__init__()
        self.residual_group = group
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, width) -> (B, T, H, W, width)."""
        change: Tensor = self.linear(self.residual_group(x))
        return x + change


def _padding(size: Size3, window: Size3) -> list[int]:
    """What `F.pad` adds at the end of columns, rows and frames, to multiples of the window."""
    missing = [-long % wide for long, wide in zip(size, window, strict=True)]
    return [0, 0, 0, missing[2], 0, missing[1], 0, missing[0]]


def _call_checkpointed(enabled: bool, function: Callable[..., Tensor], *inputs: object) -> Tensor:
    if enabled and torch.is_grad_enabled():
        output: Tensor = checkpoint(function, *inputs, use_reentrant=False)
        return output
    return function(*inputs)
