"""Charbonnier on the detail bands of a Haar transform with its gradient, in one pass over the clips."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from fedvsr_core.differentiation import refuse_second_derivatives
from fedvsr_core.losses.charbonnier import subtract

CACHED = 1 << 20
"""Most elements of a part: it stays in a processor's cache through the steps on it."""
SHARE = 4
"""A part is at most this fraction of the clips, so that the steps on it take no more than the gradient."""

Place = tuple[int, slice, slice, slice]
"""A part of (B, T, C, H, W): one clip, some frames, all channels, some rows."""


class HaarCharbonnier(Function):
    """The mean of ``sqrt(c^2 + eps)`` over all detail coefficients ``c``.

    Value and gradient share their square roots, and the transform is orthonormal: its transpose takes
    gradients back. So both are computed together, part by part. Neither the difference of the clips nor any
    band exists as a whole, and what waits for the backward pass is the gradient itself.

    Apply it to (output, target, levels, eps), clips of shape (B, T, C, H, W).
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, target: Tensor, levels: int, eps: float) -> Tensor:  # noqa: ANN401
        """The loss, a scalar in float32 at least."""
        over_time = output.shape[1] > 1
        share = 1 / _count(output.shape, levels, over_time)
        loss, gradient = _detail(output, target, levels, eps, share, over_time=over_time)
        ctx.save_for_backward(gradient)
        ctx.dtypes = output.dtype, target.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """The gradients of output and target.

        Raises:
            RuntimeError: If second derivatives are asked for; those of `HighFrequencyLoss` under a compiler
                are the plain transform's.
        """
        refuse_second_derivatives("the high-frequency loss")
        scaled = ctx.saved_tensors[0] * above
        return (
            scaled.to(ctx.dtypes[0]) if ctx.needs_input_grad[0] else None,
            -scaled.to(ctx.dtypes[1]) if ctx.needs_input_grad[1] else None,
            None,
            None,
        )


def _count(shape: torch.Size, levels: int, over_time: bool) -> int:
    """Detail coefficients of all levels."""
    batch, frames, channels, height, width = shape
    low = torch.Size((batch, _half(frames) if over_time else frames, channels, _half(height), _half(width)))
    own = low.numel() * (7 if over_time else 3)
    return own + _count(low, levels - 1, over_time) if levels > 1 else own


def _detail(
    output: Tensor, target: Tensor | None, levels: int, eps: float, share: float, *, over_time: bool
) -> tuple[Tensor, Tensor]:
    """Sum over the detail coefficients, and its gradient, both times ``share``; no target counts as zeros.

    Coefficients stay unnormalised, ``norm`` times what they are in an orthonormal transform: that saves a
    step. Everything constant is part of the one pass: on a GPU a step on a single number takes as long as it.
    """
    norm = math.sqrt(8 if over_time else 4)
    detail = _detail_in_parts
    if output.device.type == "cuda":
        from fedvsr_core.losses.haar_kernel import fused_detail as detail  # Triton is there for CUDA only
    total, low, gradient = detail(
        output, target, smoothing=norm**2 * eps, scale=share / norm, over_time=over_time
    )
    if levels > 1:
        more, back = _detail(low.div_(norm), None, levels - 1, eps, share, over_time=over_time)
        for place in _places(output):
            gradient[place] += _spread(back[_halved(place, over_time)], gradient[place].shape, over_time)
        total = total + more
    return total, gradient


def _detail_in_parts(
    output: Tensor, target: Tensor | None, *, smoothing: float, scale: float, over_time: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """As `haar_kernel.fused_detail`, one part after the other."""
    batch, frames, channels, height, width = output.shape
    halved = (batch, _half(frames) if over_time else frames, channels, _half(height), _half(width))
    low = output.new_empty(halved, dtype=torch.promote_types(output.dtype, torch.float32))
    gradient = low.new_empty(output.shape)
    added = low.new_tensor(smoothing)
    sums = []
    for place in _places(output):
        bands = _transform(_difference(output, target, place), over_time)
        lowest = bands.flatten(0, -5)[0].unflatten(-1, (-1, 2))[..., 0]
        low[_halved(place, over_time)] = lowest
        lowest.zero_()  # adds no gradient, and a constant to the sum
        roots = torch.addcmul(added, bands, bands).sqrt_()
        sums.append(roots.sum() - lowest.numel() * math.sqrt(smoothing))
        bands.div_(roots)
        del roots
        gradient[place] = _transpose(bands, gradient[place].shape, scale, over_time)
    return torch.stack(sums).sum() * scale, low, gradient


def _difference(output: Tensor, target: Tensor | None, place: Place) -> Tensor:
    return output[place].clone() if target is None else subtract(output[place], target[place])


def _places(x: Tensor) -> Iterator[Place]:
    """Parts with even numbers of frames and rows, but for the last ones of an odd axis."""
    batch, frames, channels, height, width = x.shape
    size = x.numel() // SHARE
    if x.device.type == "cpu":
        size = min(size, CACHED)
    some_frames = max(2, size // (channels * height * width) // 2 * 2)
    some_rows = max(2, size // (2 * channels * width) // 2 * 2)
    for clip in range(batch):
        for frame in range(0, frames, some_frames):
            for row in range(0, height, some_rows):
                yield clip, slice(frame, frame + some_frames), slice(None), slice(row, row + some_rows)


def _halved(place: Place, over_time: bool) -> Place:
    clip, frames, channels, rows = place
    return clip, _half_slice(frames) if over_time else frames, channels, _half_slice(rows)


def _half_slice(whole: slice) -> slice:
    return slice(whole.start // 2, whole.stop // 2)


def _half(size: int) -> int:
    return (size + 1) // 2


def _transform(part: Tensor, over_time: bool) -> Tensor:
    """(F, C, R, W) to bands (2, F, C, R/2, W), or (2, 2, F/2, C, R/2, W) over time, the low one first.

    Along the columns low and high coefficients alternate, since (a + ib)(1 - i) = (a + b) - i(a - b).
    """
    for axis in (0, 2, 3) if over_time else (2, 3):
        if part.shape[axis] % 2:
            part = torch.cat([part, part.narrow(axis, part.shape[axis] - 1, 1)], dim=axis)
    part = part.contiguous()
    _as_complex(part).mul_(1 - 1j)
    part = _halves(part, 2)
    return _halves(part, 1) if over_time else part


def _transpose(bands: Tensor, shape: torch.Size, scale: float, over_time: bool) -> Tensor:
    """The transpose of `_transform`, times ``scale``; what went to a repeated sample goes to the original."""
    if over_time:
        bands = _whole(bands, 1)
    whole = _whole(bands, 2)
    _as_complex(whole).mul_((1 + 1j) * scale)
    return _fold(whole, shape)


def _spread(low: Tensor, shape: torch.Size, over_time: bool) -> Tensor:
    """The transpose of taking the low band."""
    for axis in (0, 2, 3) if over_time else (2, 3):
        low = low.repeat_interleave(2, dim=axis)
    return _fold(low.div_(math.sqrt(8 if over_time else 4)), shape)


def _as_complex(x: Tensor) -> Tensor:
    pairs: Tensor = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return pairs


def _halves(x: Tensor, axis: int) -> Tensor:
    even, odd = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
    signs = x.new_tensor([1, -1]).view(2, *[1] * even.ndim)
    return torch.addcmul(even.unsqueeze(0), signs, odd.unsqueeze(0))  # even + odd, then even - odd


def _whole(halves: Tensor, axis: int) -> Tensor:
    low, high = halves.unsqueeze(axis + 2).unbind(0)
    signs = halves.new_tensor([1, -1]).view(2, *[1] * (low.ndim - axis - 2))
    return torch.addcmul(low, signs, high).flatten(axis, axis + 1)


def _fold(x: Tensor, shape: torch.Size) -> Tensor:
    for axis, size in enumerate(shape):
        if x.shape[axis] > size:
            x.select(axis, size - 1).add_(x.select(axis, size))
            x = x.narrow(axis, 0, size)
    return x
