"""Motion from one frame to the next, and frames moved along it."""

import cv2
import numpy as np
import numpy.typing as npt

from fedvsr_core.metrics.per_frame import Frames, Planes

Flow = npt.NDArray[np.float32]
"""Where each pixel goes, in pixels: (H, W, 2), to the right and down."""


def farneback(first: Frames, second: Frames) -> Flow:
    """Optical flow between two frames (H, W, 3), RGB uint8, of their grey values.

    Source: Farneback, SCIA 2003, by OpenCV with the parameters of TecoGAN's metrics.
    """
    before, after = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second))
    start = np.zeros((*before.shape, 2), np.float32)
    return np.asarray(
        cv2.calcOpticalFlowFarneback(
            before,
            after,
            start,
            pyr_scale=0.5,
            levels=3,
            winsize=15,
            iterations=3,
            poly_n=5,
            poly_sigma=1.2,
            flags=0,
        ),
        np.float32,
    )


def warp(image: npt.NDArray[np.floating], flow: npt.NDArray[np.floating]) -> Planes:
    """Fetch ``image`` at where each pixel goes, bilinear, from the nearest edge beyond the frame.

    Args:
        image: Planes (H, W, C).
        flow: Flow (H, W, 2).

    Returns:
        Planes (H, W, C).
    """
    height, width = image.shape[:2]
    rows, columns = np.indices((height, width))
    x = np.clip(columns + flow[..., 0].astype(np.float64), 0, width - 1)
    y = np.clip(rows + flow[..., 1].astype(np.float64), 0, height - 1)
    left, top = (np.minimum(np.floor(at).astype(np.intp), size - 2) for at, size in ((x, width), (y, height)))
    left, top = np.maximum(left, 0), np.maximum(top, 0)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (x - left)[..., None], (y - top)[..., None]
    above = image[top, left] * (1 - across) + image[top, right] * across
    below = image[bottom, left] * (1 - across) + image[bottom, right] * across
    return np.asarray(above * (1 - down) + below * down, np.float64)


def visible(forward: npt.NDArray[np.floating], backward: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Pixels of a frame that can be found again in the next one.

    Args:
        forward: Flow (H, W, 2) to the next frame.
        backward: Flow (H, W, 2) back.

    Returns:
        Mask (H, W): false where going there and back ends elsewhere, and along the edges of motion.

    Source: Lai et al., ECCV 2018, section 3.3, after Ruder et al., GCPR 2016, eq. 5 and 6.
    """
    forward, backward = forward.astype(np.float64), backward.astype(np.float64)
    returned = warp(backward, forward)
    length = _squares(forward)
    occluded = _squares(returned + forward) > 0.01 * (_squares(returned) + length) + 0.5
    across = np.diff(forward, axis=1, append=forward[:, -1:])
    down = np.diff(forward, axis=0, append=forward[-1:])
    edge = _squares(across) + _squares(down) > 0.01 * length + 0.002
    return np.asarray(~(occluded | edge))


def _squares(flow: npt.NDArray[np.floating]) -> Planes:
    return np.asarray((flow**2).sum(axis=2), np.float64)
