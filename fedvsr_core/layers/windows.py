"""Clips cut into windows of frames, rows and columns, and back.

Source: Liang et al., "VRT: A Video Restoration Transformer", 2022, after the shifted windows of Liu et al.,
"Video Swin Transformer", CVPR 2022.
"""

import torch
from torch import Tensor

Size3 = tuple[int, int, int]
"""Frames, rows, columns."""

OTHER_REGION = -100.0
"""Added to the logit of two tokens that a shift has brought into one window from different sides."""


def fitted(size: Size3, window: Size3) -> tuple[Size3, Size3]:
    """The window that a clip is cut by, and the shift of every second layer.

    Args:
        size: Of the clip.
        window: As configured. An axis no longer than its window is one window, and isn't shifted.
    """
    cut = tuple(min(pair) for pair in zip(size, window, strict=True))
    shift = tuple(wide // 2 if long > wide else 0 for long, wide in zip(size, window, strict=True))
    return cut, shift  # type: ignore[return-value]


def partition(x: Tensor, window: Size3) -> Tensor:
    """Cut clips into windows, those of one clip together; the last axis of a window runs fastest.

    Args:
        x: Clips (B, T, H, W, C) of multiples of the window.
        window: Frames, rows and columns of each.

    Returns:
        Tokens (B * windows, n, C).
    """
    batch, frames, height, width, channels = x.shape
    deep, high, wide = window
    cut = x.view(batch, frames // deep, deep, height // high, high, width // wide, wide, channels)
    return cut.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, deep * high * wide, channels)


def merge(tokens: Tensor, window: Size3, size: Size3) -> Tensor:
    """Merge windows into clips: the inverse of `partition`.

    Args:
        tokens: Windows (B * windows, n, C).
        window: Frames, rows and columns of each.
        size: Of the clips.

    Returns:
        Clips (B, T, H, W, C).
    """
    counts = [long // wide for long, wide in zip(size, window, strict=True)]
    cut = tokens.view(-1, *counts, *window, tokens.shape[-1])
    return cut.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, *size, tokens.shape[-1])


def shift_mask(size: Size3, window: Size3, shift: Size3, device: torch.device) -> Tensor:
    """Attention mask of shifted windows: separates tokens that are adjacent only because the clip was rolled.

    Args:
        size: Of the rolled clip.
        window: Frames, rows and columns of a window.
        shift: By how much the clip was rolled towards the start of each axis; 0 leaves an axis whole.
        device: Where to make it.

    Returns:
        A mask to add to the logits, (windows, n, n): 0 within a region of the clip, -100 between two.
    """
    region = torch.zeros((), dtype=torch.int32, device=device)
    for long, wide, by in zip(size, window, shift, strict=True):
        place = torch.arange(long, device=device)
        label = (place >= long - wide).int() + (place >= long - by).int() if by else torch.zeros_like(place)
        region = 3 * region[..., None] + label
    regions = partition(region[None, ..., None], window)  # (windows, n, 1)
    return OTHER_REGION * (regions != regions.mT).float()
