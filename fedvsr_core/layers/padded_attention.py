"""Softmax attention that CUDA's memory-efficient kernel takes, whatever the width of a head."""

import torch.nn.functional as F
from torch import Tensor


def padded_attention(
    query: Tensor, key: Tensor, value: Tensor, added: Tensor | None, scale: float | None
) -> Tensor:
    """Scaled dot-product attention.

    That kernel takes heads whose width is a multiple of 16 bytes; for others, such as VRT's of 20 and 30
    channels, torch would make all logits and keep them for the gradient. On CUDA such heads are continued
    with zeros, which add nothing to a product.

    Args:
        query: (G, heads, n, d).
        key: (G, heads, n, d).
        value: (G, heads, n, d).
        added: What is added to the logits, which broadcasts to (G, heads, n, n), or None.
        scale: What products are multiplied by; None for one over the root of d.

    Returns:
        (G, heads, n, d).
    """
    width = query.shape[-1]
    scale = width**-0.5 if scale is None else scale
    if query.device.type == "cuda":
        query, key, value = (padded(part) for part in (query, key, value))
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=added, scale=scale)
    return attended[..., :width]


def padded(part: Tensor) -> Tensor:
    """The same with zeros behind, up to a multiple of 16 bytes in the last axis."""
    missing = -part.shape[-1] % (16 // part.element_size())
    return F.pad(part, (0, missing)) if missing else part
