"""From features to frames of four times the size."""

import torch.nn.functional as F
from torch import Tensor, nn

SCALE = 4
HIGH_WIDTH = 64
"""Channels at high resolution, whatever the width of the network."""

_SLOPE = 0.1


def upsampling_layers(width: int) -> tuple[nn.Conv2d, nn.Conv2d, nn.Conv2d, nn.Conv2d]:
    """The layers ``upconv1``, ``upconv2``, ``conv_hr`` and ``conv_last`` that `upsample` takes.

    Args:
        width: Channels of the features.
    """
    return (
        nn.Conv2d(width, 4 * width, 3, padding=1),
        nn.Conv2d(width, 4 * HIGH_WIDTH, 3, padding=1),
        nn.Conv2d(HIGH_WIDTH, HIGH_WIDTH, 3, padding=1),
        nn.Conv2d(HIGH_WIDTH, 3, 3, padding=1),
    )


def upsample(
    features: Tensor, upconv1: nn.Module, upconv2: nn.Module, conv_hr: nn.Module, conv_last: nn.Module
) -> Tensor:
    """Make frames of features by two pixel shuffles: (N, C, H, W) -> (N, 3, 4H, 4W).

    Source: Chan et al., "BasicVSR", CVPR 2021; sub-pixel convolution of Shi et al., CVPR 2016.
    """
    for convolution in (upconv1, upconv2):
        features = F.leaky_relu(F.pixel_shuffle(convolution(features), 2), _SLOPE)
    frames: Tensor = conv_last(F.leaky_relu(conv_hr(features), _SLOPE))
    return frames


def bilinear_up(images: Tensor) -> Tensor:
    """Enlarge images four times: (N, C, H, W) -> (N, C, 4H, 4W)."""
    return F.interpolate(images, scale_factor=SCALE, mode="bilinear", align_corners=False)
