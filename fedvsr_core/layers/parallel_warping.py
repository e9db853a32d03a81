"""Parallel warping: neighbouring frames aligned to each frame by flow-guided deformable convolution.

Source: Liang et al., "VRT: A Video Restoration Transformer", 2022, parallel warping; deformable
convolution of Zhu et al., "Deformable ConvNets v2", CVPR 2019, guided by flow as in Chan et al.,
"BasicVSR++", CVPR 2022.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.layers.warp import flow_warp

_TAPS = 9


class ParallelWarping(nn.Module):
    """Aligns the next frames to each frame of a clip; for the previous ones, the clip is reversed.

    Args:
        width: Channels.
        neighbours: Frames that are aligned at a time; divides `width` and `groups`.
        groups: Of channels that share their offsets; divides ``neighbours * width``.
        reach: Largest learned displacement in pixels, to be added to the flow.

    Raises:
        ConfigurationError: If the numbers don't divide each other.
    """

    def __init__(self, *, width: int, neighbours: int, groups: int, reach: float) -> None:
        super().__init__()
        if width % neighbours or groups % neighbours or neighbours * width % groups:
            raise ConfigurationError(
                f"{neighbours} neighbours must divide the width, {width}, and deformable_groups, {groups};"
                f" {neighbours} x {width} must be a multiple of deformable_groups"
            )
        self.neighbours = neighbours
        self.groups = groups
        self.reach = reach
        bound = 1 / math.sqrt(_TAPS * width)
        self.weight = nn.Parameter(torch.empty(width, width, 3, 3).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(width))
        last = nn.Conv2d(width, 3 * _TAPS * groups, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.conv_offset = nn.Sequential(
            nn.Conv2d((neighbours + 1) * width + 2 * neighbours, width, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.1),
            last,
        )

    def forward(self, x: Tensor, flows: Sequence[Tensor]) -> Tensor:
        """Align each frame's next ones to it.

        Args:
            x: Features (B, T, C, H, W).
            flows: For m = 1 .. neighbours, what warps frame t + m onto frame t, (B, T - m, 2, H, W).

        Returns:
            Features (B, T, C, H, W). Frames behind the end of the clip are zero, with zero flow; the last
            frame, which has none, gets zeros.
        """
        pairs, current, shape = [], x[:, :-1].flatten(0, 1), x[:, :-1].shape
        for distance, flow in enumerate(flows, start=1):
            neighbour = _append_zeros(x[:, distance:], distance - 1).flatten(0, 1)  # (B * (T - 1), C, H, W)
            pairs.append((neighbour, _append_zeros(flow, distance - 1).flatten(0, 1)))
        aligned = self.align([neighbour for neighbour, _ in pairs], current, [flow for _, flow in pairs])
        return _append_zeros(aligned.view(shape), 1)

    def align(self, neighbours: Sequence[Tensor], current: Tensor, flows: Sequence[Tensor]) -> Tensor:
        """Align the neighbouring frames of single frames.

        Args:
            neighbours: Features (N, C, H, W), the nearest frame first.
            current: Features of the frame itself, (N, C, H, W).
            flows: What warps each neighbour onto the frame, (N, 2, H, W), (u, v) in pixels.

        Returns:
            Features (N, C, H, W); each neighbour fills an equal share of the channels.
        """
        warped = [flow_warp(neighbour, flow) for neighbour, flow in zip(neighbours, flows, strict=True)]
        predicted = self.conv_offset(torch.cat([*warped, current, *flows], dim=1))
        offsets, logits = predicted.split([2 * _TAPS * self.groups, _TAPS * self.groups], dim=1)
        each = _TAPS * self.groups // self.neighbours  # displacements (y, x) of one neighbour
        guides = torch.cat([flow.flip(1).repeat(1, each, 1, 1) for flow in flows], dim=1)
        precise = guides.dtype  # at least float32: torchvision lacks bfloat16 on the CPU
        aligned: Tensor = deform_conv2d(
            torch.cat(list(neighbours), dim=1).to(precise),
            self.reach * torch.tanh(offsets.to(precise)) + guides,
            self.weight.to(precise),
            self.bias.to(precise),
            padding=1,
            mask=torch.sigmoid(logits.to(precise)),
        )
        return aligned.to(current.dtype)


def _append_zeros(frames: Tensor, count: int) -> Tensor:
    """The clip with ``count`` frames of zeros at its end."""
    if not count:
        return frames
    return torch.cat([frames, frames.new_zeros(len(frames), count, *frames.shape[2:])], dim=1)
