"""From a metric of two planes to a metric of two frames or two clips."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics.colour import Channel, channels

Planes = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float64]


def score_frames(
    metric: Callable[[Planes, Planes], float],
    output: npt.NDArray[np.uint8],
    target: npt.NDArray[np.uint8],
    *,
    channel: Channel,
    border: int,
) -> float | Scores:
    """Apply a metric to a frame, or to each frame of a clip by itself.

    Args:
        metric: Compares two sets of planes (H, W, C), values from 0 to 255.
        output: uint8 frame (H, W, 3) or clip (T, H, W, 3), RGB.
        target: The same for the ground truth.
        channel: ``rgb`` or ``y``.
        border: Pixels cut off on all four sides first.

    Returns:
        A number for a frame, an array (T,) for a clip.

    Raises:
        ShapeError: If the two differ in shape, aren't uint8 RGB, or nothing is left of them.
    """
    if output.shape != target.shape or output.ndim not in (3, 4) or output.shape[-1] != 3:
        raise ShapeError(
            "output and target must both have shape (H, W, 3) or (T, H, W, 3),"
            f" got {output.shape} and {target.shape}"
        )
    if output.dtype != np.uint8 or target.dtype != np.uint8:
        raise ShapeError(
            f"output and target must be uint8, got {output.dtype} and {target.dtype};"
            " clamp, scale to 255 and round first"
        )
    height, width = output.shape[-3:-1]
    if border < 0 or min(height, width) <= 2 * border:
        raise ShapeError(f"border must leave pixels of a {width}x{height} frame, got {border}")
    inside = (slice(border, height - border), slice(border, width - border))

    def of_frame(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
        return metric(channels(one[inside], channel), channels(other[inside], channel))

    if output.ndim == 3:
        return of_frame(output, target)
    return np.array([of_frame(one, other) for one, other in zip(output, target, strict=True)])
