"""Attention of every position to samples around learned displacements in all frames of its clip.

Source: Liang et al., "Recurrent Video Restoration Transformer with Guided Deformable Attention" (RVRT),
NeurIPS 2022, section 3.3. Values are sampled a few at a time, with the running softmax of Milakov and
Gimelshein ("Online normalizer calculation for softmax", 2018), and sampled again for the gradient, so that
memory stays in proportion to the output. The gradients are those of the formula; the kernel published with
the paper scales the gradient of keys once more by the square root of a head's channels.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fedvsr_core.differentiation import refuse_second_derivatives
from fedvsr_core.errors import ShapeError


def deformable_attention(
    query: Tensor,
    key_value: Tensor,
    offsets: Tensor,
    *,
    heads: int,
    kernel: tuple[int, int],
    chunk: int | None = None,
) -> Tensor:
    """Attend to ``kernel`` samples in each of the frames of a clip.

    Position p of frame j attends, in frame ``(j + m) % T`` for m = 0 .. T-1, to the samples at p plus the
    tap's place in the kernel plus an offset, interpolated bilinearly, zero outside. The softmax goes over the
    taps of all frames together. Groups of offsets divide the channels of keys and values together: with an
    even number of groups, keys and values are sampled at different places.

    Args:
        query: (B, T, C, H, W).
        key_value: Keys, then values, (B, T, 2C, H, W).
        offsets: In pixels, (B, T, T * groups * taps * 2, H, W): by m, group, tap (along a row first), then
            (y, x). The number of groups follows from the shape, and divides 2C.
        heads: Attention heads; divides C.
        kernel: Rows and columns of taps; both odd and the same in the published networks. The kernel starts
            ``kernel[0] // 2`` pixels above and left of the position.
        chunk: Taps that are sampled at once: more are faster on a GPU, and take more memory. None: all on
            CUDA, else 3.

    Returns:
        (B, T, C, H, W), in float32 at least.

    Raises:
        ShapeError: If the shapes don't fit.
    """
    batch, frames, channels, height, width = query.shape
    taps = kernel[0] * kernel[1]
    groups = offsets.shape[2] // (frames * taps * 2)
    if (
        key_value.shape != (batch, frames, 2 * channels, height, width)
        or offsets.shape != (batch, frames, frames * groups * taps * 2, height, width)
        or not groups
        or 2 * channels % groups
        or channels % heads
    ):
        raise ShapeError(
            f"deformable attention with {heads} heads and {taps} taps needs queries (B, T, C, H, W), keys"
            f" and values (B, T, 2C, H, W) and offsets (B, T, T * groups * {taps} * 2, H, W); heads divide C"
            f" and groups 2C, got {tuple(query.shape)}, {tuple(key_value.shape)} and {tuple(offsets.shape)}"
        )
    precise = torch.promote_types(query.dtype, torch.float32)
    grid = _grid(offsets.to(precise), groups, kernel, frames)
    scaled = query.to(precise).flatten(0, 1) * (channels // heads) ** -0.5
    if chunk is None:
        chunk = taps if query.device.type == "cuda" else 3
    attended: Tensor = _Attention.apply(
        scaled.unflatten(1, (heads, -1)).flatten(3), key_value.to(precise), grid, chunk
    )
    return attended.view(query.shape)


def _grid(offsets: Tensor, groups: int, kernel: tuple[int, int], frames: int) -> Tensor:
    """Where to sample, in the -1 .. 1 of pixel borders: (T, taps, B * T * groups, H, W, 2), x before y."""
    height, width = offsets.shape[-2:]
    device, dtype = offsets.device, offsets.dtype
    place = offsets.flatten(0, 1).view(-1, frames, groups, *kernel, 2, height, width)
    up = kernel[0] // 2

    def positions(size: int, taps: int) -> Tensor:
        return torch.arange(-up, taps - up, device=device, dtype=dtype)[:, None] + torch.arange(
            size, device=device, dtype=dtype
        )

    y = place[..., 0, :, :] + positions(height, kernel[0])[:, None, :, None]
    x = place[..., 1, :, :] + positions(width, kernel[1])[None, :, None, :]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return grid.permute(1, 3, 4, 0, 2, 5, 6, 7).flatten(3, 4).flatten(1, 2)


class _Attention(torch.autograd.Function):
    """From scaled queries, keys and values, and the grid of `_grid` to attended values, (N, heads, d, P).

    Queries are (N, heads, d, P), keys and values (B, T, 2C, H, W); N = B * T and P = H * W.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key_value: Tensor, grid: Tensor, chunk: int) -> Tensor:  # noqa: ANN401
        total = torch.zeros_like(query)
        weight = query.new_zeros(query.shape[0], query.shape[1], query.shape[3])
        largest = torch.full_like(weight, -torch.inf)
        for source, taps in _chunks(key_value, grid, chunk):
            key, value = _sampled(source, taps, query)
            logits = (query.unsqueeze(3) * key).sum(2)  # (N, heads, taps, P)
            before, largest = largest, torch.maximum(largest, logits.amax(2))
            shrink = (before - largest).exp()
            share = (logits - largest.unsqueeze(2)).exp()
            weight = weight * shrink + share.sum(2)
            total = total * shrink.unsqueeze(2) + (share.unsqueeze(2) * value).sum(3)
        output = total / weight.unsqueeze(2)
        ctx.save_for_backward(query, key_value, grid, output, largest + weight.log())
        ctx.chunk = chunk
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401
        refuse_second_derivatives("deformable attention")
        query, key_value, grid, output, normaliser = ctx.saved_tensors
        common = (gradient * output).sum(2)  # (N, heads, P)
        to_query = torch.zeros_like(query)
        to_key_value = torch.zeros_like(key_value)
        to_grid = []
        batch, frames = key_value.shape[:2]
        per_frame = -(-grid.shape[1] // ctx.chunk)
        for number, (source, taps) in enumerate(_chunks(key_value, grid, ctx.chunk)):
            key, value = _sampled(source, taps, query)
            share = ((query.unsqueeze(3) * key).sum(2) - normaliser.unsqueeze(2)).exp()
            to_value = share.unsqueeze(2) * gradient.unsqueeze(3)  # (N, heads, d, taps, P)
            to_logits = share * ((gradient.unsqueeze(3) * value).sum(2) - common.unsqueeze(2))
            to_query += (to_logits.unsqueeze(2) * key).sum(3)
            to_key = to_logits.unsqueeze(2) * query.unsqueeze(3)
            to_samples = torch.cat([to_key.flatten(1, 2), to_value.flatten(1, 2)], dim=1)
            to_source, to_taps = torch.ops.aten.grid_sampler_2d_backward(
                to_samples.reshape(len(source), source.shape[1], -1, source.shape[3]),
                source,
                _stack_taps(taps),
                0,  # bilinear
                0,  # zeros outside
                False,  # not aligned to corners
                [True, True],
            )
            turned = to_source.view(batch, frames, *key_value.shape[2:])
            to_key_value += turned.roll(number // per_frame, dims=1)
            to_grid.append(to_taps.unflatten(1, (len(taps), -1)).transpose(0, 1))
        return to_query, to_key_value, torch.cat(to_grid).view(grid.shape), None


def _chunks(key_value: Tensor, grid: Tensor, chunk: int) -> list[tuple[Tensor, Tensor]]:
    """For m = 0 .. T-1, the frames that each frame looks at, and some taps at a time."""
    groups = grid.shape[2] // key_value.shape[:2].numel()
    chunks = []
    for turn, all_taps in enumerate(grid):
        turned = key_value.roll(-turn, dims=1).flatten(0, 1)
        source = turned.reshape(-1, turned.shape[1] // groups, *turned.shape[2:])
        chunks += [(source, taps) for taps in all_taps.split(chunk)]
    return chunks


def _sampled(source: Tensor, taps: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values at some taps, each (N, heads, d, taps, P)."""
    samples = F.grid_sample(
        source, _stack_taps(taps), mode="bilinear", padding_mode="zeros", align_corners=False
    )
    count, heads, channels, _ = query.shape
    key, value = samples.reshape(count, 2, heads, channels, len(taps), -1).unbind(1)
    return key, value


def _stack_taps(taps: Tensor) -> Tensor:
    """(taps, N * groups, H, W, 2) -> (N * groups, taps * H, W, 2): one tall image of samples."""
    return taps.transpose(0, 1).flatten(1, 2)
