"""Attention within windows: of a clip to itself, and of two frames to each other.

Source: Liang et al., "VRT: A Video Restoration Transformer", 2022, temporal mutual self attention.
"""

import torch
from torch import Tensor, nn

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.layers.padded_attention import padded_attention
from fedvsr_core.layers.positions import relative_position_index, sine_positions
from fedvsr_core.layers.windows import Size3

_LOGITS = 2**22
"""Most logits at once on a CPU, 16 MB."""


class WindowAttention(nn.Module):
    """Multi-head attention of the tokens of a window, with a learned bias for each displacement.

    With `mutual`, the two frames of a window also attend to each other: what the second frame's queries get
    from the first one is placed at the first frame's tokens, and vice versa. That branch has a sine table
    instead of the bias.

    Args:
        width: Channels.
        window: Frames, rows and columns, as configured; windows of smaller clips may be smaller.
        heads: Attention heads; divides `width`.
        mutual: Whether there is the mutual branch; then the window has two frames.
        bias: Whether queries, keys and values have one.
        scale: Of the logits; None means 1 / sqrt(width / heads).

    Raises:
        ConfigurationError: If the width doesn't suit the heads or the sine table.
    """

    relative_position_index: Tensor
    position_bias: Tensor

    def __init__(
        self,
        *,
        width: int,
        window: Size3,
        heads: int,
        mutual: bool,
        bias: bool = True,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        if width % heads or (mutual and width % 4):
            raise ConfigurationError(
                f"the width of attention must be a multiple of its heads, {heads}"
                f"{', and of 4 for mutual attention' if mutual else ''}, got {width}"
            )
        self.heads = heads
        self.scale = scale
        self.mutual = mutual
        deep, high, wide = window
        rows = (2 * deep - 1) * (2 * high - 1) * (2 * wide - 1)
        self.relative_position_bias_table = nn.Parameter(torch.empty(rows, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_position_index(window))
        if mutual:
            self.register_buffer("position_bias", sine_positions(high, wide, width))
        self.qkv_self = nn.Linear(width, 3 * width, bias=bias)
        self.proj = nn.Linear(2 * width if mutual else width, width)
        if mutual:
            self.qkv_mut = nn.Linear(width, 3 * width, bias=bias)
        self._cached_bias: tuple[object, Tensor] | None = None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within each window.

        Args:
            x: Windows (B * windows, n, C), clip by clip.
            mask: To add to the logits, (windows, n, n), the same for each clip and head.

        Returns:
            Tokens (B * windows, n, C).
        """
        bias = self._bias(x.shape[1])
        windows = len(x) if mask is None else len(mask)
        if x.device.type == "cpu":  # a few windows at a time stay in its caches
            windows = _divisor(windows, _LOGITS // bias.numel())
        pieces = []
        for number, piece in enumerate(x.split(windows)):
            start = 0 if mask is None else number * windows % len(mask)
            pieces.append(
                self._attend_and_project(piece, bias, None if mask is None else mask[start : start + windows])
            )
        return torch.cat(pieces)

    def _attend_and_project(self, x: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
        attended = self._attend(self.qkv_self(x), bias, mask)
        if self.mutual:
            attended = torch.cat([self._mutual(x, mask), attended], dim=-1)
        y: Tensor = self.proj(attended)
        return y

    def _mutual(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """The tokens of each frame get what the other frame's queries attend to in it."""
        half = x.shape[1] // 2
        frames = x.reshape(-1, half, x.shape[2])  # (B * windows * 2, n / 2, C)
        qkv = self.qkv_mut(frames + self.position_bias)
        if mask is not None:
            mask = mask[:, :half, :half].repeat_interleave(2, dim=0)
        return self._attend(qkv, None, mask, swapped=True).reshape(x.shape)

    def _attend(
        self, qkv: Tensor, bias: Tensor | None, mask: Tensor | None, *, swapped: bool = False
    ) -> Tensor:
        """Softmax attention of (G, n, 3C), bias (heads, n, n), mask (windows, n, n) -> (G, n, C).

        With `swapped`, the queries of groups 2i and 2i+1 change places.
        """
        groups, tokens, _ = qkv.shape
        split = qkv.view(groups, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind()  # (G, heads, n, d)
        if swapped:
            query = query.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
        added = bias
        if mask is not None:  # windows and heads are one axis, over which clips broadcast
            added = mask[:, None] if bias is None else mask[:, None] + bias
            added = added.expand(-1, self.heads, -1, -1).flatten(0, 1)
            query, key, value = (
                part.reshape(-1, len(added), *part.shape[2:]) for part in (query, key, value)
            )
        if added is not None:
            added = added.to(query.dtype)
        attended = padded_attention(query, key, value, added, self.scale)
        return attended.reshape(groups, self.heads, tokens, -1).transpose(1, 2).flatten(2)

    def _bias(self, tokens: int) -> Tensor:
        """The learned bias of each pair of tokens, (heads, n, n); cached while no gradient is needed."""
        table = self.relative_position_bias_table
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or table.is_inference():
            return self._gather_bias(tokens)
        key = (tokens, table._version, table.data_ptr(), table.dtype, table.device)
        if self._cached_bias is None or self._cached_bias[0] != key:
            self._cached_bias = (key, self._gather_bias(tokens))
        return self._cached_bias[1]

    def _gather_bias(self, tokens: int) -> Tensor:
        # A window cut short in time has the first tokens of the whole one, and their displacements. The
        # published networks do the same where windows are cut short in space, and others would be right.
        index = self.relative_position_index[:tokens, :tokens]
        bias = self.relative_position_bias_table.index_select(0, index.flatten())
        return bias.view(tokens, tokens, self.heads).permute(2, 0, 1).contiguous()


def _divisor(number: int, most: int) -> int:
    """The largest divisor up to a limit."""
    return next(divisor for divisor in range(max(1, min(number, most)), 0, -1) if not number % divisor)
