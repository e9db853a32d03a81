"""Backward warping of feature maps and images by a flow."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from fedvsr_core.errors import ShapeError


def flow_warp(
    image: Tensor,
    flow: Tensor,
    *,
    interpolation: Literal["bilinear", "nearest"] = "bilinear",
    padding: Literal["zeros", "border"] = "zeros",
) -> Tensor:
    """Sample an image where a flow points to: ``out(p) = image(p + flow(p))``.

    Positions are computed in float32 at least, whatever the precision of the image: bfloat16 counts pixels
    exactly only up to 256. Along an axis of length one the flow is ignored.

    Args:
        image: What to sample, (N, C, H, W).
        flow: Displacement (u, v) in pixels, (N, 2, H, W): u to the right, v downwards.
        interpolation: Of the four pixels around a position, or the nearest one.
        padding: What lies outside: zeros, each pixel by itself, or the nearest pixel of the border.

    Returns:
        The warped image, (N, C, H, W), of the image's dtype.

    Raises:
        ShapeError: If the flow doesn't fit the image.
    """
    batch, _, height, width = image.shape
    if flow.shape != (batch, 2, height, width):
        raise ShapeError(
            f"the flow must have shape {(batch, 2, height, width)} for an image of {tuple(image.shape)},"
            f" got {tuple(flow.shape)}"
        )
    precise = torch.promote_types(torch.promote_types(image.dtype, flow.dtype), torch.float32)
    columns = torch.arange(width, dtype=precise, device=flow.device)
    rows = torch.arange(height, dtype=precise, device=flow.device)
    x, y = columns + flow[:, 0], rows[:, None] + flow[:, 1]  # (N, H, W)
    grid = torch.stack([_normalised(x, width), _normalised(y, height)], dim=-1)
    warped = F.grid_sample(
        image.to(precise), grid, mode=interpolation, padding_mode=padding, align_corners=True
    )
    return warped.to(image.dtype)


def nearest_four(image: Tensor, flow: Tensor) -> Tensor:
    """The four pixels around the position that a flow points to, each by itself.

    Args:
        image: What to sample, (N, C, H, W).
        flow: Displacement (u, v) in pixels, (N, 2, H, W); gets no gradient.

    Returns:
        (N, 4C, H, W): the pixels left above, left below, right above and right below the position, which are
        one where it is a whole number; zero outside the image.

    Source: Liang et al., "VRT: A Video Restoration Transformer", 2022, the input of the network.
    """
    height, width = flow.shape[-2:]
    start = torch.stack(
        torch.meshgrid(
            torch.arange(width, dtype=flow.dtype, device=flow.device),
            torch.arange(height, dtype=flow.dtype, device=flow.device),
            indexing="xy",
        )
    )
    position = start + flow.detach()
    low, high = position.floor() - start, position.ceil() - start  # (N, 2, H, W)
    corners = [(low, low), (low, high), (high, low), (high, high)]
    flows = [torch.stack([across[:, 0], down[:, 1]], dim=1) for across, down in corners]
    return torch.cat([flow_warp(image, corner, interpolation="nearest") for corner in flows], dim=1)


def _normalised(position: Tensor, size: int) -> Tensor:
    """From pixels to `grid_sample`'s -1 .. 1, in the order of operations of the published networks."""
    return 2.0 * position / max(size - 1, 1) - 1.0
