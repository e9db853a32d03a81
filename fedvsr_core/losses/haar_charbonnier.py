"""Charbonnier on the detail bands of a Haar transform with its gradient, in one pass over the clips."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from fedvsr_core.losses.charbonnier import subtract

CACHED = 1 << 17
"""Elements of a part that stays in a processor's cache through all steps on it."""

Place = tuple[int, slice, slice, slice]
"""A part of (B, T, C, H, W): one clip, some frames, all channels, some rows."""


class HaarCharbonnier(Function):
    """The mean of ``sqrt(c^2 + eps)`` over all detail coefficients ``c``.

    Value and gradient share their square roots, and the transform is orthonormal: its transpose takes gradients back.
    So both are computed together, part by part. Neither the difference of the clips nor any band exists as a whole,
    and what waits for the backward pass is the gradient itself.

    Apply it to (output, target, levels, eps), clips of shape (B, T, C, H, W).
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, target: Tensor, levels: int, eps: float) -> Tensor:  # noqa: ANN401
        """The loss, a scalar in float32 at least."""
        total, count, gradient = _detail(output, target, levels, eps, over_time=output.shape[1] > 1)
        ctx.save_for_backward(gradient)
        ctx.count, ctx.dtypes = count, (output.dtype, target.dtype)
        return total / count

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """The gradients of output and target."""
        scaled = ctx.saved_tensors[0] * (above / ctx.count)
        return (
            scaled.to(ctx.dtypes[0]) if ctx.needs_input_grad[0] else None,
            -scaled.to(ctx.dtypes[1]) if ctx.needs_input_grad[1] else None,
            None,
            None,
        )


def _detail(
    output: Tensor, target: Tensor | None, levels: int, eps: float, *, over_time: bool
) -> tuple[Tensor, int, Tensor]:
    """Sum over the detail coefficients, their number, and the gradient of the sum; no target counts as zeros.

    Coefficients stay unnormalised, ``norm`` times what they are in an orthonormal transform; that saves a step.
    """
    norm = math.sqrt(8 if over_time else 4)
    batch, frames, channels, height, width = output.shape
    shorter = (batch, _half(frames) if over_time else frames, channels, _half(height), _half(width))
    low = output.new_empty(shorter, dtype=torch.promote_types(output.dtype, torch.float32))
    gradient = low.new_empty(output.shape)
    sums = []
    for place in _places(output):
        part = output[place].clone() if target is None else subtract(output[place], target[place])
        bands = _transform(part, over_time)
        lowest = bands.flatten(0, -5)[0].unflatten(-1, (-1, 2))[..., 0]
        low[_halved(place, over_time)] = lowest
        lowest.zero_()  # so that it adds a known constant and no gradient
        sizes = torch.mul(bands, bands).add_(norm**2 * eps).sqrt_()
        sums.append(sizes.sum() - lowest.numel() * norm * math.sqrt(eps))
        gradient[place] = _transpose(bands.div_(sizes), part.shape, over_time)
    total, count = torch.stack(sums).sum() / norm, low.numel() * (7 if over_time else 3)
    gradient /= norm
    if levels > 1:
        deeper, more, back = _detail(low / norm, None, levels - 1, eps, over_time=over_time)
    return total, count, gradient


def _places(x: Tensor) -> Iterator[Place]:
    """Parts with even numbers of frames and rows, but for the last ones of an odd axis."""
    batch, frames, channels, height, width = x.shape
    size = CACHED if x.device.type == "cpu" else x.numel() // 8
    some_rows = max(2, size // (2 * channels * width) // 2 * 2)
    some_frames = max(2, size // (channels * height * width) // 2 * 2)
    for clip in range(batch):
        for frame in range(0, frames, some_frames):
            for row in range(0, height, some_rows):
                yield clip, slice(frame, frame + some_frames), slice(None), slice(row, row + some_rows)
