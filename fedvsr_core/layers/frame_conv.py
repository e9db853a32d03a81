"""Convolutions of each frame by itself, and the upscaling that VRT and RVRT build of them."""

import torch.nn.functional as F
from torch import Tensor, nn

from fedvsr_core.errors import ConfigurationError


class FrameConv(nn.Conv3d):
    """A two-dimensional convolution of every frame, whose weight has the shape of a three-dimensional one.

    The published networks use three-dimensional convolutions of one frame; this is the same, and faster.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Rows and columns, odd; zeros are padded to keep the size.
        stride: Of rows and columns.
        groups: Of channels.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        around = kernel // 2
        super().__init__(
            inputs,
            outputs,
            (1, kernel, kernel),
            stride=(1, stride, stride),
            padding=(0, around, around),
            groups=groups,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, inputs) -> (B, T, H', W', outputs)."""
        images = to_images(x)
        weight = self.weight.squeeze(2)
        stride, padding = self.stride[1:], self.padding[1:]
        y = F.conv2d(images, weight, self.bias, stride, padding, groups=self.groups)
        return to_clips(y, x.shape[0])


class Upsampler(nn.ModuleDict):
    """Upscales by convolution and pixel shuffle, with a leaky ReLU of slope 0.1 after each step.

    The names of the convolutions count what the published networks have between them.

    Args:
        scale: 3, or a power of 2, which is taken in steps of 2.
        width: Channels in and out.

    Raises:
        ConfigurationError: If the scale is another one.
    """

    def __init__(self, *, scale: int, width: int) -> None:
        if scale < 2 or (scale != 3 and scale & (scale - 1)):
            raise ConfigurationError(f"upscale must be 1, 3 or a power of 2, got {scale}")
        self.factor = 3 if scale == 3 else 2
        steps = 1 if scale == 3 else scale.bit_length() - 1
        super().__init__(
            {str(5 * step): FrameConv(width, self.factor**2 * width, 3) for step in range(steps)}
            | {str(5 * steps): FrameConv(width, width, 3)}
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, width) -> (B, T, sH, sW, width)."""
        *steps, last = self.values()
        for step in steps:
            x = F.leaky_relu(to_clips(F.pixel_shuffle(to_images(step(x)), self.factor), len(x)), 0.1)
        y: Tensor = last(x)
        return y


def to_images(x: Tensor) -> Tensor:
    """(B, T, H, W, C) -> (B * T, C, H, W), a view."""
    return x.flatten(0, 1).permute(0, 3, 1, 2)


def to_clips(images: Tensor, batch: int) -> Tensor:
    """(B * T, C, H, W) -> (B, T, H, W, C), a view."""
    clips: Tensor = images.permute(0, 2, 3, 1).unflatten(0, (batch, -1))
    return clips


def resized(images: Tensor, scale: int) -> Tensor:
    """The base that a network adds detail to: (B, T, C, H, W) -> (B, T, C, sH, sW), bilinear."""
    if scale == 1:
        return images
    high = F.interpolate(images.flatten(0, 1), scale_factor=scale, mode="bilinear", align_corners=False)
    return high.view(*images.shape[:3], *high.shape[-2:])
