"""The loops over every pixel of every scored frame, compiled."""

import numpy as np
import numpy.typing as npt

from fedvsr_core.compiled import compiled_sums

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LUMA = (65.481, 128.553, 24.966)
"""Of red, green and blue."""
RADIUS = 5
"""Of SSIM's window, in pixels."""
_TAPS = 2 * RADIUS + 1
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2


@compiled_sums
def luma(rgb: Bytes, out: Floats) -> None:
    """BT.601 limited-range luma: ``16 + LUMA * RGB / 255``.

    Args:
        rgb: Pixels, the three channels of each beside each other, (3n,).
        out: (n,).
    """
    for pixel in range(out.size):
        red, green, blue = rgb[3 * pixel], rgb[3 * pixel + 1], rgb[3 * pixel + 2]
        out[pixel] = (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue) / 255 + 16


@compiled_sums
def similarity(output: Floats, target: Floats, channels: int, weights: Floats) -> float:
    """SSIM in one pass over two frames: of both, their squares and their product, only eleven rows are kept.

    Args:
        output: Rows of pixels, the channels of each beside each other, (H, W*C).
        target: The same of the ground truth.
        channels: C.
        weights: The Gaussian, (11,), symmetric.

    Returns:
        The mean over all windows inside the frame, and over the channels.
    """
    height, width = output.shape
    inside = width - 2 * RADIUS * channels
    line = np.empty((4, width))
    across = np.empty((_TAPS, 4, inside))  # a ring: row y of the frame, smoothed across, is at y % 11
    means = np.empty((4, inside))
    starts = np.empty(_TAPS, np.int64)
    total = 0.0
    for y in range(height):
        for x in range(width):
            a, b = output[y, x], target[y, x]
            line[0, x], line[1, x], line[2, x], line[3, x] = a, b, a * a + b * b, a * b
        for tap in range(_TAPS):
            starts[tap] = tap * channels
        for which in range(4):
            smooth(line[which], starts, weights, across[y % _TAPS, which])
        if y < 2 * RADIUS:
            continue
        for tap in range(_TAPS):
            starts[tap] = (y + 1 + tap) % _TAPS * 4 * inside  # the oldest row first
        for which in range(4):
            smooth(across.ravel()[which * inside :], starts, weights, means[which])
        for x in range(inside):
            product, squares = means[0, x] * means[1, x], means[0, x] ** 2 + means[1, x] ** 2
            covariance, variances = means[3, x] - product, means[2, x] - squares
            total += ((2 * product + C1) * (2 * covariance + C2)) / ((squares + C1) * (variances + C2))
    return float(total / ((height - 2 * RADIUS) * inside))


@compiled_sums
def smooth(values: Floats, starts: Integers, weights: Floats, out: Floats) -> None:
    """Write the weighted sum of eleven equally long parts of some values.

    Args:
        values: (n,).
        starts: Where each part starts, (11,).
        weights: Their weights, (11,), symmetric.
        out: (length of a part,).
    """
    size = out.size
    a, b, c = (values[starts[0] :], values[starts[1] :], values[starts[2] :])
    d, e, middle = (values[starts[3] :], values[starts[4] :], values[starts[5] :])
    f, g, h = (values[starts[6] :], values[starts[7] :], values[starts[8] :])
    i, j = (values[starts[9] :], values[starts[10] :])
    for x in range(size):  # in one expression: what is added up stays in a register
        out[x] = (
            weights[0] * (a[x] + j[x])
            + weights[1] * (b[x] + i[x])
            + weights[2] * (c[x] + h[x])
            + weights[3] * (d[x] + g[x])
            + weights[4] * (e[x] + f[x])
            + weights[5] * middle[x]
        )
