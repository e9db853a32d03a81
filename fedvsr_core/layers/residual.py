"""Convolutional backbones of residual blocks without normalisation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Adds ``conv(relu(conv(x)))`` to its input, (N, C, H, W).

    Weights start small, Kaiming normal times 0.1, so that deep backbones start near the identity.

    Args:
        width: Channels.

    Source: Lim et al., "Enhanced Deep Residual Networks", CVPR workshops 2017; initialisation of BasicVSR.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight)
            with torch.no_grad():
                conv.weight.mul_(0.1)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape."""
        change: Tensor = self.conv2(F.relu(self.conv1(x)))
        return x + change


class Backbone(nn.Module):
    """A convolution, leaky ReLU, then residual blocks: (N, inputs, H, W) -> (N, width, H, W).

    Args:
        inputs: Channels that come in.
        width: Channels that go out.
        blocks: Residual blocks.
    """

    def __init__(self, inputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, width, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Sequential(*(ResidualBlock(width) for _ in range(blocks))),
        )

    def forward(self, x: Tensor) -> Tensor:
        """From any features to those of the backbone's width."""
        features: Tensor = self.main(x)
        return features
