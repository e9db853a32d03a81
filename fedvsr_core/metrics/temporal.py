"""How steady a video is in time, compared with its ground truth: tOF, tLP, warping error."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics.flow import Flow, farneback, visible, warp
from fedvsr_core.metrics.per_frame import Frames, Planes, Scores, comparable

_MARGIN, _GRID = 8, 32
"""TecoGAN's crop of a flow: multiples of 32 pixels that leave at least 8 on every side."""


def tof(output: Frames, target: Frames) -> Scores:
    """Compare the motion of a clip with that of its ground truth; 0 is the same motion.

    Args:
        output: uint8 clip (T, H, W, 3), RGB.
        target: The same for the ground truth.

    Returns:
        For each of the T - 1 pairs of frames, the mean length of the difference of both flows, in pixels, in
        the middle of the frame. Some papers print ten times this.

    Raises:
        ShapeError: If the two differ in shape, aren't uint8 RGB clips, or are below 48 pixels in size.

    Source: Chu et al. (TecoGAN), ACM TOG 2020, with its crop but without leaving frames out.
    """
    return _pairs(tof_of_pair, output, target)


def tlp(output: Frames, target: Frames, distance: Callable[[Frames, Frames], float | Scores]) -> Scores:
    """Compare how much a clip changes from frame to frame with how much its ground truth does; 0 is as much.

    Args:
        output: uint8 clip (T, H, W, 3), RGB.
        target: The same for the ground truth.
        distance: An `fedvsr_core.metrics.perceptual.LPIPS` with ``alex``.

    Returns:
        For each of the T - 1 pairs of frames, 100 times the difference of the two distances; in full size.

    Raises:
        ShapeError: If the two differ in shape or aren't uint8 RGB clips.

    Source: Chu et al. (TecoGAN), ACM TOG 2020, but on whole frames.
    """
    _check(output, target)
    changes = [np.asarray(distance(clip[:-1], clip[1:])) for clip in (output, target)]
    return np.asarray(100 * np.abs(changes[1] - changes[0]))


def warping_error(output: Frames, target: Frames) -> tuple[Scores, Scores]:
    """How much a clip differs from its next frame, moved back along the ground truth's motion.

    It rewards blur: bicubic frames score below the ground truth itself. So the ground truth's own error is
    computed too; compare with that, or prefer `tof` and `tlp`.

    Args:
        output: uint8 clip (T, H, W, 3), RGB.
        target: The same for the ground truth.

    Returns:
        For each of the T - 1 pairs of frames, the mean square over visible pixels and channels, of values in
        [0, 1]: of the output, and of the ground truth. NaN where no pixel is visible. Often printed x 1000.

    Raises:
        ShapeError: If the two differ in shape or aren't uint8 RGB clips.

    Source: Lai et al., ECCV 2018, eq. 7 and 8, with Farneback's flow.
    """
    both = _pairs(warping_of_pair, output, target)
    return both[:, 0], both[:, 1]


def tof_of_pair(outputs: Frames, targets: Frames) -> float:
    """`tof` of one pair of frames, each clip (2, H, W, 3)."""
    rows, columns = (_middle(size) for size in outputs.shape[1:3])
    difference = farneback(*targets)[rows, columns] - farneback(*outputs)[rows, columns]
    return float(np.sqrt((difference.astype(np.float64) ** 2).sum(axis=2)).mean())


def warping_of_pair(
    outputs: Frames, targets: Frames, flows: tuple[Flow, Flow] | None = None
) -> tuple[float, float]:
    """`warping_error` of one pair of frames, each clip (2, H, W, 3); flows there and back may be given."""
    forward, backward = flows or (farneback(*targets), farneback(*targets[::-1]))
    mask = visible(forward, backward)
    return _moved(outputs, forward, mask), _moved(targets, forward, mask)


def _moved(clip: Frames, forward: Flow, mask: np.ndarray) -> float:
    first, second = (frame.astype(np.float64) / 255 for frame in clip)
    error: Planes = (first - warp(second, forward)) ** 2
    return float(error[mask].mean()) if mask.any() else float("nan")


def _middle(size: int) -> slice:
    length = (size - 2 * _MARGIN) // _GRID * _GRID
    if length <= 0:
        raise ShapeError(f"tOF needs at least {2 * _MARGIN + _GRID} pixels in height and width, got {size}")
    start = (size - length) // 2
    return slice(start, start + length)


def _pairs(metric: Callable[[Frames, Frames], object], output: Frames, target: Frames) -> Scores:
    _check(output, target)
    pairs = zip(pairwise(output), pairwise(target), strict=True)
    return np.array([metric(np.stack(frames), np.stack(truth)) for frames, truth in pairs])


def _check(output: Frames, target: Frames) -> None:
    comparable(output, target)
    if output.ndim != 4 or len(output) < 2:
        raise ShapeError(
            f"a temporal metric needs a clip (T, H, W, 3) of two frames or more, got {output.shape}"
        )
