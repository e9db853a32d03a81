"""The loop over every pixel of every frame that is resampled, compiled."""

import numpy as np
import numpy.typing as npt

from fedvsr_core.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]


@compiled
def resample(
    frame: Bytes,
    rows: Positions,
    row_weights: Floats,
    columns: Positions,
    column_weights: Floats,
    out: Bytes,
) -> None:
    """Resample height, then width, of a frame; clip, then round half up. Taps are added in their order.

    Args:
        frame: (H, W, 3).
        rows: Positions of each output row's taps, (H', taps).
        row_weights: Their weights, (H', taps).
        columns: Positions of each output column's taps, (W', taps).
        column_weights: Their weights, (W', taps).
        out: (H', W', 3).
    """
    line = np.empty(frame.shape[1:])
    values = line.ravel()
    for y in range(out.shape[0]):
        values[:] = 0
        for tap in range(rows.shape[1]):
            weight, source = row_weights[y, tap], frame[rows[y, tap]].ravel()
            for i in range(values.size):
                values[i] += weight * source[i]
        for x in range(out.shape[1]):
            red = green = blue = 0.0
            for tap in range(columns.shape[1]):
                weight, at = column_weights[x, tap], columns[x, tap]
                red += weight * line[at, 0]
                green += weight * line[at, 1]
                blue += weight * line[at, 2]
            out[y, x, 0] = np.uint8(min(max(red, 0.0), 255.0) + 0.5)
            out[y, x, 1] = np.uint8(min(max(green, 0.0), 255.0) + 0.5)
            out[y, x, 2] = np.uint8(min(max(blue, 0.0), 255.0) + 0.5)
