"""From features to frames of two, three, four or eight times the size."""

import torch.nn.functional as F
from torch import Tensor, nn

from fedvsr_core.errors import ConfigurationError

STEPS = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
"""Pixel shuffles of each factor, one after the other."""

HIGH_WIDTH = 64
"""Channels at high resolution, whatever the width of the network."""

_SLOPE = 0.1


def add_upsampling(network: nn.Module, width: int, scale: int) -> None:
    """Give a network the layers ``upconv1``, ..., ``conv_hr`` and ``conv_last`` that `upsample` takes.

    Args:
        network: Whose layers they become.
        width: Channels of the features.
        scale: Factor of height and width.

    Raises:
        ConfigurationError: If the factor isn't among `STEPS`.
    """
    if scale not in STEPS:
        raise ConfigurationError(f"scale must be {', '.join(map(str, STEPS))}, got {scale}")
    steps = STEPS[scale]
    for number, factor in enumerate(steps, start=1):
        outputs = HIGH_WIDTH if number == len(steps) else width
        network.add_module(f"upconv{number}", nn.Conv2d(width, factor**2 * outputs, 3, padding=1))
    network.add_module("conv_hr", nn.Conv2d(HIGH_WIDTH, HIGH_WIDTH, 3, padding=1))
    network.add_module("conv_last", nn.Conv2d(HIGH_WIDTH, 3, 3, padding=1))


def upsample(features: Tensor, network: nn.Module, scale: int) -> Tensor:
    """Make frames of features by pixel shuffles: (N, C, H, W) -> (N, 3, sH, sW).

    Args:
        features: Of the low resolution.
        network: One that `add_upsampling` gave its layers.
        scale: The same factor.

    Source: Chan et al., "BasicVSR", CVPR 2021; sub-pixel convolution of Shi et al., CVPR 2016.
    """
    for number, factor in enumerate(STEPS[scale], start=1):
        features = F.pixel_shuffle(getattr(network, f"upconv{number}")(features), factor)
        features = F.leaky_relu(features, _SLOPE)
    conv_hr, conv_last = network.get_submodule("conv_hr"), network.get_submodule("conv_last")
    frames: Tensor = conv_last(F.leaky_relu(conv_hr(features), _SLOPE))
    return frames


def bilinear_up(images: Tensor, scale: int) -> Tensor:
    """Enlarge images: (N, C, H, W) -> (N, C, sH, sW)."""
    return F.interpolate(images, scale_factor=scale, mode="bilinear", align_corners=False)
