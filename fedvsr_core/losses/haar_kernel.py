"""The Haar transform of a difference, its Charbonnier sum and the gradient, in one pass on a CUDA device.

The steps are those of `haar_charbonnier` on cells of 2 x 2 x 2 samples, which stay in registers: both clips
are read once, the gradient is written once, and nothing waits for the device.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_COLUMNS = 256
"""Most columns of cells of a program."""


def fused_detail(
    output: Tensor, target: Tensor | None, *, smoothing: float, scale: float, over_time: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Transform, sum and gradient.

    Args:
        output: (B, T, C, H, W), on a CUDA device.
        target: The shape of ``output``; None counts as zeros.
        smoothing: What is added to the square of a coefficient, which isn't normalised.
        scale: Factor of the sum and of its gradient. The kernel is compiled for each value, in a second.
        over_time: Whether the frame axis is transformed too.

    Returns:
        The sum over the detail coefficients times ``scale``, a scalar; the low band, not normalised and
        without ``scale``, (B, T/2, C, H/2, W/2), rounded up; and the gradient of that scalar,
        (B, T, C, H, W). All in float32 at least.
    """
    output = output.contiguous()
    other = output if target is None else target.contiguous()
    batch, frames, channels, height, width = output.shape
    times, rows, columns = triton.cdiv(frames, 1 + over_time), triton.cdiv(height, 2), triton.cdiv(width, 2)
    precise = torch.promote_types(torch.promote_types(output.dtype, other.dtype), torch.float32)
    block = min(triton.next_power_of_2(columns), _COLUMNS)
    grid = batch * times * channels * rows, triton.cdiv(columns, block)
    gradient = output.new_empty(output.shape, dtype=precise)
    low = output.new_empty((batch, times, channels, rows, columns), dtype=precise)
    sums = output.new_empty(grid, dtype=precise)
    _detail_of_cells[grid](
        output, other, gradient, low, sums, frames, times, channels, height, rows, width, columns,
        smoothing=smoothing, scale=scale, over_time=over_time, with_target=target is not None, block=block,
    )  # fmt: skip
    return sums.sum(), low, gradient


@triton.jit  # type: ignore[untyped-decorator]
def _detail_of_cells(  # type: ignore[no-untyped-def]  # noqa: ANN202
    output, target, gradient, low, sums,  # noqa: ANN001
    frames, times, channels, height, rows, width, columns,  # noqa: ANN001
    smoothing: tl.constexpr, scale: tl.constexpr, over_time: tl.constexpr, with_target: tl.constexpr,
    block: tl.constexpr,
):  # fmt: skip
    """A row of cells: their coefficients, the sum, and the gradient of each of their samples."""
    cell, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    row, image = cell % rows, cell // rows
    channel, time, clip = image % channels, image // channels % times, image // channels // times
    column = part * block + tl.arange(0, block)
    sample = 2 * column[:, None] + tl.arange(0, 2)[None, :]
    inside = column < columns
    first = (2 if over_time else 1) * time
    start = (clip * frames + first) * channels + channel
    lower = tl.minimum(2 * row + 1, height - 1)  # so is this one

    upper_line, lower_line = (start * height + 2 * row) * width, (start * height + lower) * width
    ll, lh, hl, hh = _square(output, target, upper_line, lower_line, sample, width, low, with_target)
    if over_time:
        later = tl.minimum(first + 1, frames - 1) - first
        step = later * channels * height * width
        ll_1, lh_1, hl_1, hh_1 = _square(
            output, target, upper_line + step, lower_line + step, sample, width, low, with_target
        )
        ll, ll_1 = ll + ll_1, ll - ll_1
        lh, lh_1 = lh + lh_1, lh - lh_1
        hl, hl_1 = hl + hl_1, hl - hl_1
        hh, hh_1 = hh + hh_1, hh - hh_1
    tl.store(low + cell * columns + column, ll, mask=inside)

    root_lh, slope_lh = _charbonnier(lh, smoothing)
    root_hl, slope_hl = _charbonnier(hl, smoothing)
    root_hh, slope_hh = _charbonnier(hh, smoothing)
    total = root_lh + root_hl + root_hh
    slope_ll = tl.zeros_like(ll)  # the low band isn't part of the sum
    if over_time:
        root_ll_1, slope_ll_1 = _charbonnier(ll_1, smoothing)
        root_lh_1, slope_lh_1 = _charbonnier(lh_1, smoothing)
        root_hl_1, slope_hl_1 = _charbonnier(hl_1, smoothing)
        root_hh_1, slope_hh_1 = _charbonnier(hh_1, smoothing)
        total += root_ll_1 + root_lh_1 + root_hl_1 + root_hh_1
        slope_ll, slope_ll_1 = slope_ll + slope_ll_1, slope_ll - slope_ll_1
        slope_lh, slope_lh_1 = slope_lh + slope_lh_1, slope_lh - slope_lh_1
        slope_hl, slope_hl_1 = slope_hl + slope_hl_1, slope_hl - slope_hl_1
        slope_hh, slope_hh_1 = slope_hh + slope_hh_1, slope_hh - slope_hh_1
        if first + 1 == frames:  # what went to a repeated sample goes to the original
            slope_ll, slope_lh, slope_hl, slope_hh = (
                slope_ll + slope_ll_1, slope_lh + slope_lh_1, slope_hl + slope_hl_1, slope_hh + slope_hh_1
            )  # fmt: skip
        else:
            _store_square(
                gradient, upper_line + step, 2 * row + 1 < height, sample, width, scale,
                slope_ll_1, slope_lh_1, slope_hl_1, slope_hh_1,
            )  # fmt: skip
    _store_square(
        gradient, upper_line, 2 * row + 1 < height, sample, width, scale,
        slope_ll, slope_lh, slope_hl, slope_hh,
    )  # fmt: skip
    tl.store(sums + cell * tl.num_programs(1) + part, tl.sum(tl.where(inside, total, 0.0), axis=0) * scale)


@triton.jit  # type: ignore[untyped-decorator]
def _square(  # type: ignore[no-untyped-def]  # noqa: ANN202
    output, target, upper_line, lower_line, sample, width, low, with_target: tl.constexpr  # noqa: ANN001
):  # fmt: skip
    """Coefficients of cells of 2 x 2 samples: along the columns first, then along the rows."""
    low_0, high_0 = _pairs(output, target, upper_line, sample, width, low, with_target)
    low_1, high_1 = _pairs(output, target, lower_line, sample, width, low, with_target)
    return low_0 + low_1, low_0 - low_1, high_0 + high_1, high_0 - high_1


@triton.jit  # type: ignore[untyped-decorator]
def _pairs(  # type: ignore[no-untyped-def]  # noqa: ANN202
    output, target, line, sample, width, low, with_target: tl.constexpr  # noqa: ANN001
):  # fmt: skip
    """Sums and differences of neighbours in a line of the difference of the clips."""
    precise = low.dtype.element_ty
    difference = tl.load(output + line + sample, mask=sample < width, other=0.0).to(precise)
    if with_target:
        difference -= tl.load(target + line + sample, mask=sample < width, other=0.0).to(precise)
    even, odd = tl.split(difference)
    odd = tl.where(tl.max(sample, axis=1) < width, odd, even)  # an odd axis is continued by its last sample
    return even + odd, even - odd


@triton.jit  # type: ignore[untyped-decorator]
def _charbonnier(coefficient, smoothing: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The smooth absolute value, and its slope."""
    root = tl.sqrt(coefficient * coefficient + smoothing)
    return root, coefficient / root


@triton.jit  # type: ignore[untyped-decorator]
def _store_square(  # type: ignore[no-untyped-def]  # noqa: ANN202
    gradient, line, has_lower, sample, width, scale: tl.constexpr, ll, lh, hl, hh  # noqa: ANN001
):  # fmt: skip
    """The transpose of `_square`, times ``scale``."""
    low_0, low_1, high_0, high_1 = ll + lh, ll - lh, hl + hh, hl - hh
    if has_lower:
        _store_pairs(gradient, line + width, sample, width, scale, low_1, high_1)
    else:
        low_0, high_0 = low_0 + low_1, high_0 + high_1
    _store_pairs(gradient, line, sample, width, scale, low_0, high_0)


@triton.jit  # type: ignore[untyped-decorator]
def _store_pairs(  # type: ignore[no-untyped-def]  # noqa: ANN202
    gradient, line, sample, width, scale: tl.constexpr, low, high  # noqa: ANN001
):  # fmt: skip
    """The transpose of `_pairs`."""
    even, odd = low + high, low - high
    alone = tl.max(sample, axis=1) >= width
    both = tl.join(tl.where(alone, even + odd, even), odd) * scale
    tl.store(gradient + line + sample, both, mask=sample < width)
