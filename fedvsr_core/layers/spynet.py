"""Optical flow by SpyNet, a spatial pyramid of small convolutional networks.

Source: Ranjan and Black, "Optical Flow Estimation using a Spatial Pyramid Network", CVPR 2017, in the form
that BasicVSR (Chan et al., CVPR 2021), VRT and RVRT use. State-dict keys are those of BasicSR (Apache-2.0),
whose published weights load; `rename_official` maps those of mmagic.
"""

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedvsr_core.errors import ShapeError
from fedvsr_core.layers.warp import flow_warp

FINEST = 5
"""The level of full resolution; 0 is the coarsest, at 1/32."""

_MULTIPLE = 2**FINEST


class SpyNet(nn.Module):
    """Flow between two images, from coarse to fine; 1.44 M parameters.

    Images of any size are stretched, not padded, to multiples of 32.

    Attributes:
        weights_licence: Licence under which weights are published.
    """

    weights_licence = "Apache-2.0, as part of BasicSR and mmediting"
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.basic_module = nn.ModuleList(_Level() for _ in range(FINEST + 1))

    def forward(self, reference: Tensor, supporting: Tensor) -> Tensor:
        """Flow that warps one image onto another.

        Args:
            reference: Where the flow starts, (N, 3, H, W), RGB in [0, 1].
            supporting: Where it points to, (N, 3, H, W).

        Returns:
            Displacement (u, v) in pixels, (N, 2, H, W): ``flow_warp(supporting, flow)`` resembles
            ``reference``. Float32 under autocast too.

        Raises:
            ShapeError: If the images aren't (N, 3, H, W), or differ in shape.
        """
        return self.at_levels(reference, supporting, [FINEST])[0]

    def at_levels(self, reference: Tensor, supporting: Tensor, levels: Sequence[int]) -> list[Tensor]:
        """The flow as it is after some of the levels, each in pixels of that level.

        Args:
            reference: As for `forward`.
            supporting: As for `forward`.
            levels: From 0, the coarsest, to 5, full resolution.

        Returns:
            A flow (N, 2, H // s, W // s) for each level, in the order asked for; s is 2 ** (5 - level).

        Raises:
            ShapeError: As `forward`.
        """
        if reference.shape != supporting.shape or reference.ndim != 4 or reference.shape[1] != 3:
            raise ShapeError(
                "the flow is between images of one shape (N, 3, H, W),"
                f" got {tuple(reference.shape)} and {tuple(supporting.shape)}"
            )
        height, width = reference.shape[-2:]
        stretched = (height + -height % _MULTIPLE, width + -width % _MULTIPLE)
        flows = self.pyramid(_resize(reference, stretched), _resize(supporting, stretched))
        resized = []
        for level in levels:
            shrink = 2 ** (FINEST - level)
            size = (height // shrink, width // shrink)
            before = (stretched[0] // shrink, stretched[1] // shrink)
            ratio = flows[level].new_tensor([size[1] / before[1], size[0] / before[0]]).view(1, 2, 1, 1)
            resized.append(_resize(flows[level], size) * ratio)
        return resized

    def pyramid(self, reference: Tensor, supporting: Tensor) -> list[Tensor]:
        """The flow after each level, coarsest first, of images whose sizes are multiples of 32."""
        references, supportings = ([(image - self.mean) / self.std] for image in (reference, supporting))
        for _ in range(FINEST):
            references.insert(0, F.avg_pool2d(references[0], 2))
            supportings.insert(0, F.avg_pool2d(supportings[0], 2))
        batch, _, height, width = references[0].shape
        precise = torch.promote_types(reference.dtype, torch.float32)
        upsampled = reference.new_zeros((batch, 2, height, width), dtype=precise)
        flows = list[Tensor]()
        for level, (ours, theirs) in enumerate(zip(references, supportings, strict=True)):
            if flows:
                upsampled = 2.0 * F.interpolate(
                    flows[-1], scale_factor=2, mode="bilinear", align_corners=True
                )
            warped = flow_warp(theirs, upsampled, padding="border")
            change = self.basic_module[level](torch.cat([ours, warped, upsampled], dim=1))
            flows.append(upsampled + change)
        return flows


def neighbour_flows(spynet: SpyNet, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Flows between the neighbouring frames of clips, in both directions.

    Args:
        spynet: The flow network.
        frames: Clips (B, T, 3, H, W), RGB in [0, 1].

    Returns:
        Two tensors (B, T-1, 2, H, W), empty for a single frame. The first warps frame i+1 onto frame i, as
        backward propagation needs it, the second frame i onto frame i+1.
    """
    batch, times, _, height, width = frames.shape
    shape = (batch, times - 1, 2, height, width)
    if times == 1:
        return frames.new_zeros(shape), frames.new_zeros(shape)
    earlier, later = frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)
    return spynet(earlier, later).view(shape), spynet(later, earlier).view(shape)


def rename_official(name: str) -> str:
    """BasicSR's name of a weight that mmagic names otherwise: its convolution i stands at position 2 i."""
    return re.sub(
        r"(basic_module\.\d+\.basic_module)\.(\d+)\.conv\.",
        lambda match: f"{match[1]}.{2 * int(match[2])}.",
        name,
    )


class _Level(nn.Module):
    """From both images and the flow so far, (N, 8, H, W), to the correction of the flow, (N, 2, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        layers = list[nn.Module]()
        for inputs, outputs in ((8, 32), (32, 64), (64, 32), (32, 16), (16, 2)):
            layers += [nn.Conv2d(inputs, outputs, 7, padding=3), nn.ReLU()]
        self.basic_module = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.basic_module(x)
        return change


def _resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)
