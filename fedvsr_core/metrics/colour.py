"""Which channels a metric looks at: RGB as it is, or the luma Y."""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics import kernels

Channel = Literal["rgb", "y"]


def luma(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """BT.601 limited-range luma of MATLAB's ``rgb2ycbcr``, not rounded.

    OpenCV's YCrCb is the full-range matrix of JPEG and gives other values, and so does a rounded Y.

    Args:
        rgb: Frames (..., 3), RGB uint8.

    Returns:
        Y in [16, 235], shape (...).
    """
    plane = np.empty(rgb.shape[:-1])
    kernels.luma(np.require(rgb, requirements=["C", "W"]).reshape(-1), plane.reshape(-1))
    return plane


def channels(frame: npt.NDArray[np.uint8], channel: Channel) -> npt.NDArray[np.float64]:
    """The values of a frame that are compared, on the scale 0 to 255.

    Args:
        frame: A frame (H, W, 3), RGB uint8.
        channel: ``rgb``, or ``y`` for `luma`.

    Returns:
        Planes (H, W, 3) or (H, W, 1).

    Raises:
        ShapeError: If there is no such channel.
    """
    _check(channel)
    return luma(frame)[..., None] if channel == "y" else frame.astype(np.float64)


def tensor_channels(frames: Tensor, channel: Channel) -> Tensor:
    """The same for a batch of frames in torch: uint8 (N, H, W, 3) -> float64 (N, C, H, W).

    Raises:
        ShapeError: If there is no such channel.
    """
    _check(channel)
    planes = frames.permute(0, 3, 1, 2).to(torch.float64)
    if channel == "rgb":
        return planes
    weights = torch.tensor(kernels.LUMA, dtype=torch.float64, device=frames.device)
    return (planes * weights.view(1, 3, 1, 1)).sum(1, keepdim=True) / 255 + 16


def _check(channel: str) -> None:
    if channel not in get_args(Channel):
        raise ShapeError(f"channel must be one of {', '.join(get_args(Channel))}, got {channel!r}")
