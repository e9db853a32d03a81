"""From a metric of two planes to a metric of two frames or two clips."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics.colour import Channel, channels, tensor_channels

Frames = npt.NDArray[np.uint8]
"""A frame (H, W, 3) or a clip (T, H, W, 3), RGB."""
Planes = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float64]

_BATCH_PIXELS = 4_000_000
"""Pixels of the frames that a device scores at once."""


def score_frames(
    metric: Callable[[Planes, Planes], float],
    output: Frames,
    target: Frames,
    *,
    channel: Channel,
    border: int,
) -> float | Scores:
    """Apply a metric to a frame, or to each frame of a clip by itself, in as many threads as torch has.

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
    output, target = comparable(output, target, border=border)

    def of_frame(frame: Frames, truth: Frames) -> float:
        return metric(channels(frame, channel), channels(truth, channel))

    if output.ndim == 3:
        return of_frame(output, target)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return np.array(list(pool.map(of_frame, output, target)))


def score_on_device(
    metric: Callable[[Tensor, Tensor], Tensor],
    output: Frames,
    target: Frames,
    *,
    channel: Channel,
    border: int,
    device: torch.device,
) -> float | Scores:
    """Apply a metric in torch to a frame, or to the frames of a clip a batch at a time.

    Args:
        metric: Compares two batches of planes (N, C, H, W), float64 from 0 to 255; returns (N,).
        output: As for `score_frames`.
        target: As for `score_frames`.
        channel: ``rgb`` or ``y``.
        border: Pixels cut off on all four sides first.
        device: Where to compute; it must know float64.

    Returns:
        A number for a frame, an array (T,) for a clip.

    Raises:
        ShapeError: As `score_frames`.
    """
    output, target = comparable(output, target, border=border)
    scores = [
        metric(tensor_channels(frames, channel), tensor_channels(truth, channel)).cpu().numpy()
        for frames, truth in batches(output, target, device=device)
    ]
    return float(scores[0][0]) if output.ndim == 3 else np.concatenate(scores).astype(np.float64)


def comparable(output: Frames, target: Frames, *, border: int = 0) -> tuple[Frames, Frames]:
    """See whether two frames or clips can be compared, and cut their border off.

    Raises:
        ShapeError: If the two differ in shape, aren't uint8 RGB, or nothing is left of them.
    """
    if (
        output.shape != target.shape
        or output.ndim not in (3, 4)
        or output.shape[-1] != 3
        or not output.shape[0]
    ):
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
    inside = (..., slice(border, height - border), slice(border, width - border), slice(None))
    return output[inside], target[inside]


def batches(*clips: Frames, device: torch.device) -> Iterator[tuple[Tensor, ...]]:
    """Move frames to a device, some at a time, uint8 (N, H, W, 3)."""
    clips = tuple(clip if clip.ndim == 4 else clip[None] for clip in clips)
    length, height, width = clips[0].shape[:3]
    step = max(1, _BATCH_PIXELS // (height * width))
    for start in range(0, length, step):
        yield tuple(
            torch.from_numpy(np.ascontiguousarray(clip[start : start + step])).to(device) for clip in clips
        )
