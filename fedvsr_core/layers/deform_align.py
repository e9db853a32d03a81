"""Alignment of two earlier features to a frame by deformable convolution, guided by flow."""

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

_GROUPS = 16
_TAPS = 9
_OFFSETS = 2 * _TAPS * _GROUPS  # channels; half of them belong to each of the two features


class SecondOrderDeformAlign(nn.Module):
    """Modulated deformable convolution whose offsets are flows plus residues that a small network predicts.

    At the start the residues are zero: offsets are the flows, and all masks one half.

    Args:
        width: Channels of a feature, a multiple of 8.
        max_residue_magnitude: Largest learned offset, which is added to the flow, in pixels.

    Source: Chan et al., "BasicVSR++", CVPR 2022, section 3.2; Zhu et al., "Deformable ConvNets v2", CVPR
    2019.
    """

    def __init__(self, width: int, max_residue_magnitude: float) -> None:
        super().__init__()
        self.max_residue_magnitude = max_residue_magnitude
        bound = (2 * width * _TAPS) ** -0.5
        self.weight = nn.Parameter(torch.empty(width, 2 * width, 3, 3).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(width))
        layers = list[nn.Module]()
        for inputs in (3 * width + 4, width, width):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.LeakyReLU(0.1)]
        last = nn.Conv2d(width, _OFFSETS + _TAPS * _GROUPS, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.conv_offset = nn.Sequential(*layers, last)

    def forward(self, features: Tensor, condition: Tensor, flow_1: Tensor, flow_2: Tensor) -> Tensor:
        """Align two features, unwarped, to the current frame.

        Args:
            features: The latest feature and the one before, (N, 2C, H, W).
            condition: The warped latest feature, the current frame's and the other warped one, (N, 3C, H, W).
            flow_1: Flow (u, v) from the current frame to the latest feature, (N, 2, H, W).
            flow_2: Flow to the feature before.

        Returns:
            The aligned feature, (N, C, H, W).
        """
        predicted = self.conv_offset(torch.cat([condition, flow_1, flow_2], dim=1))
        residue, mask = predicted.split([_OFFSETS, _TAPS * _GROUPS], dim=1)
        flows = torch.cat(
            [flow.flip(1).repeat(1, _OFFSETS // 4, 1, 1) for flow in (flow_1, flow_2)], dim=1
        )  # (v, u) for each tap, as the convolution takes them
        offset = self.max_residue_magnitude * torch.tanh(residue) + flows
        precise = torch.promote_types(offset.dtype, torch.float32)
        aligned: Tensor = deform_conv2d(
            features.to(precise),
            offset.to(precise),
            self.weight.to(precise),
            self.bias.to(precise),
            padding=1,
            mask=torch.sigmoid(mask).to(precise),
        )
        return aligned.to(features.dtype)
