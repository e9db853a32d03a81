"""BasicVSR++: second-order grid propagation with flow-guided deformable alignment.

Source: Chan et al., "BasicVSR++: Improving Video Super-Resolution with Enhanced Propagation and Alignment",
CVPR 2022. Written from the paper; state-dict keys are those of BasicSR (Apache-2.0), and `rename_official`
maps those of mmediting and mmagic (Apache-2.0), whose weights load as well. Other than there, frames may be
smaller than 64 pixels, and a clip that is followed by its mirror image takes no shortcut to the same result.
"""

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.layers import spynet
from fedvsr_core.layers.deform_align import SecondOrderDeformAlign
from fedvsr_core.layers.residual import Backbone
from fedvsr_core.layers.spynet import SpyNet, neighbour_flows
from fedvsr_core.layers.upsample import add_upsampling, bilinear_up, upsample
from fedvsr_core.layers.warp import flow_warp
from fedvsr_core.models.contract import SizeNeeds, VideoModel

_BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")
_BLOCKS = 5  # of the feature extractor and of the reconstruction
_SHRINK = 4  # by which features are smaller, where the size stays


class BasicVSRPlusPlus(VideoModel):
    """Upscales, or restores at the same size; from one frame on.

    Args:
        mid_channels: Channels of the features, a multiple of 8; 64 in the paper.
        num_blocks: Residual blocks of each of the four branches; 7 in the paper.
        max_residue_magnitude: Largest offset that the alignment adds to the flow, in pixels.
        is_low_res_input: Whether to upscale; else the output has the size of the input.
        scale: Upscaling factor, 2, 3, 4 or 8; 4 in the paper. Means nothing where the size stays.
        cpu_cache_length: Clips of more frames keep their features in the CPU's memory; values don't change.

    Raises:
        ConfigurationError: If ``mid_channels`` isn't a multiple of 8, the scale is another one, or a further
            number isn't positive.
    """

    constants = frozenset({"spynet.mean", "spynet.std"})
    late = ("spynet",)
    tail = ("upconv",)
    weights_licence = "Apache-2.0 (mmediting and mmagic)"

    def __init__(
        self,
        *,
        mid_channels: int,
        num_blocks: int,
        max_residue_magnitude: float = 10,
        is_low_res_input: bool = True,
        scale: int = 4,
        cpu_cache_length: int = 100,
    ) -> None:
        super().__init__()
        if mid_channels < 8 or mid_channels % 8:
            raise ConfigurationError(f"mid_channels must be a multiple of 8, got {mid_channels}")
        if min(num_blocks, max_residue_magnitude, cpu_cache_length) <= 0:
            raise ConfigurationError(
                "num_blocks, max_residue_magnitude and cpu_cache_length must be positive,"
                f" got {num_blocks}, {max_residue_magnitude}, {cpu_cache_length}"
            )
        self.is_low_res_input = is_low_res_input
        self.cpu_cache_length = cpu_cache_length
        self.scale = scale if is_low_res_input else 1
        self._enlarges = scale if is_low_res_input else _SHRINK
        self.needs = SizeNeeds(multiple=1 if is_low_res_input else _SHRINK)
        self.spynet = SpyNet()
        self.feat_extract = _feature_extractor(mid_channels, is_low_res_input=is_low_res_input)
        self.deform_align = nn.ModuleDict(
            {name: SecondOrderDeformAlign(mid_channels, max_residue_magnitude) for name in _BRANCHES}
        )
        self.backbone = nn.ModuleDict(
            {
                name: Backbone((2 + done) * mid_channels, mid_channels, num_blocks)
                for done, name in enumerate(_BRANCHES)
            }
        )
        self.reconstruction = Backbone(5 * mid_channels, mid_channels, _BLOCKS)
        add_upsampling(self, mid_channels, self._enlarges)

    @staticmethod
    def rename_official(name: str) -> str:
        """BasicSR's name of a weight, from mmagic's."""
        return spynet.rename_official(re.sub(r"^upsample(\d)\.upsample_conv\.", r"upconv\1.", name))

    def restore(self, low: Tensor) -> Tensor:
        """Restore a clip; see `VideoModel.restore`."""
        frames = low.unbind(1)  # T of (B, 3, H, W)
        backward_flows, forward_flows = neighbour_flows(self.spynet, self._seen_by_spynet(low))
        keep = Tensor.cpu if len(frames) > self.cpu_cache_length else Tensor.contiguous
        known = [[keep(self.part(self.feat_extract, frame)) for frame in frames]]
        for name in _BRANCHES:
            turn = -1 if name.startswith("backward") else 1  # backward branches visit the last frame first
            flows = backward_flows.flip(1) if turn < 0 else forward_flows
            visits = [[features[time] for features in known] for time in range(len(frames))][::turn]
            known.append(list(map(keep, self._propagate(name, visits, flows)))[::turn])
        high = [
            self.part(self._reconstruct, frame, *(features[time].to(low.device) for features in known))
            for time, frame in enumerate(frames)
        ]
        return torch.stack(high, dim=1)

    def _seen_by_spynet(self, low: Tensor) -> Tensor:
        if self.is_low_res_input:
            return low
        small = F.interpolate(
            low.flatten(0, 1), scale_factor=1 / _SHRINK, mode="bicubic", align_corners=False
        )
        return small.view(*low.shape[:2], *small.shape[1:])

    def _propagate(self, name: str, visits: Sequence[Sequence[Tensor]], flows: Tensor) -> list[Tensor]:
        """Visit frames in order; returns a feature (B, C, h, w) of each.

        Args:
            name: Of the branch.
            visits: Features of each frame: the spatial one, then those of the branches before.
            flows: ``flows[:, k]`` leads from the frame of visit k+1 back to that of visit k.
        """
        zeros = torch.zeros_like(visits[0][0], device=flows.device)
        features: list[Tensor] = []
        for visit, known in enumerate(visits):
            known = [feature.to(flows.device) for feature in known]
            if visit == 0:
                features.append(self.part(self._refine, name, zeros, *known))
                continue
            before = features[visit - 2] if visit > 1 else zeros
            flow_before = flows[:, visit - 2] if visit > 1 else None
            features.append(
                self.part(self._step, name, features[-1], before, flows[:, visit - 1], flow_before, *known)
            )
        return features

    def _step(
        self,
        name: str,
        latest: Tensor,
        before: Tensor,
        flow: Tensor,
        flow_before: Tensor | None,
        *known: Tensor,
    ) -> Tensor:
        if flow_before is None:  # there is no feature before the latest
            flow_2, warped_before = torch.zeros_like(flow), before
        else:
            flow_2 = flow + flow_warp(flow_before, flow)
            warped_before = flow_warp(before, flow_2)
        condition = torch.cat([flow_warp(latest, flow), known[0], warped_before], dim=1)
        aligned = self.deform_align[name](torch.cat([latest, before], dim=1), condition, flow, flow_2)
        return self._refine(name, aligned, *known)

    def _refine(self, name: str, aligned: Tensor, *known: Tensor) -> Tensor:
        change: Tensor = self.backbone[name](torch.cat([*known, aligned], dim=1))
        return aligned + change

    def _reconstruct(self, frame: Tensor, *known: Tensor) -> Tensor:
        features = self.reconstruction(torch.cat(known, dim=1))
        residual = upsample(features, self, self._enlarges)
        return residual + (bilinear_up(frame, self.scale) if self.is_low_res_input else frame)


def _feature_extractor(width: int, *, is_low_res_input: bool) -> nn.Module:
    if is_low_res_input:
        return Backbone(3, width, _BLOCKS)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(width, width, 3, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        Backbone(width, width, _BLOCKS),
    )
