"""Peak signal-to-noise ratio."""

import math

import numpy as np
import torch
from torch import Tensor

from fedvsr_core.metrics.colour import Channel
from fedvsr_core.metrics.per_frame import Frames, Planes, Scores, score_frames, score_on_device


def psnr(
    output: Frames,
    target: Frames,
    *,
    channel: Channel = "rgb",
    border: int = 0,
    device: torch.device | None = None,
) -> float | Scores:
    """Compare frames by ``10 log10(255^2 / MSE)``, in decibels.

    The mean squared error is taken over all pixels and channels of one frame. The peak is 255 for Y too,
    although Y spans 16 to 235, which puts PSNR-Y some 1.4 dB above PSNR-RGB. The field averages the decibels
    over the frames of a clip, then over clips.

    Args:
        output: uint8 frame (H, W, 3) or clip (T, H, W, 3), RGB.
        target: The same for the ground truth.
        channel: ``rgb``, or ``y`` for BT.601 luma.
        border: Pixels cut off on all four sides first.
        device: Computes batches of frames in torch there, to the same values; None: numpy.

    Returns:
        A number for a frame, an array (T,) for a clip; infinity for identical frames.

    Raises:
        ShapeError: If the two differ in shape or aren't uint8 RGB.
    """
    if device is None:
        return score_frames(_psnr, output, target, channel=channel, border=border)
    return score_on_device(_psnr_batch, output, target, channel=channel, border=border, device=device)


def _psnr(output: Planes, target: Planes) -> float:
    error = float(np.mean((output - target) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def _psnr_batch(output: Tensor, target: Tensor) -> Tensor:
    return 10 * torch.log10(255**2 / (output - target).square().mean((1, 2, 3)))
