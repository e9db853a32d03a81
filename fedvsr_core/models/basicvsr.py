"""BasicVSR: bidirectional propagation with flow-warped states.

Source: Chan et al., "BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond",
CVPR 2021. Written from the paper; state-dict keys are those of BasicSR (Apache-2.0), and `rename_official`
maps those of mmediting and mmagic (Apache-2.0), whose weights load as well.
"""

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.layers import spynet
from fedvsr_core.layers.residual import Backbone
from fedvsr_core.layers.spynet import SpyNet, neighbour_flows
from fedvsr_core.layers.upsample import add_upsampling, bilinear_up, upsample
from fedvsr_core.layers.warp import flow_warp
from fedvsr_core.models.contract import VideoModel


class BasicVSR(VideoModel):
    """Upscales clips of any size, from one frame on.

    Args:
        num_feat: Channels of the states; 64 in the paper.
        num_block: Residual blocks of each direction; 30 in the paper.
        scale: Upscaling factor, 2, 3, 4 or 8; 4 in the paper.

    Raises:
        ConfigurationError: If the scale is another one, or an argument is smaller than one.
    """

    constants = frozenset({"spynet.mean", "spynet.std"})
    late = ("spynet",)
    tail = ("upconv",)
    weights_licence = "Apache-2.0 (BasicSR, mmediting and mmagic)"

    def __init__(self, *, num_feat: int, num_block: int, scale: int = 4) -> None:
        super().__init__()
        if min(num_feat, num_block) < 1:
            raise ConfigurationError(
                f"num_feat and num_block must be at least 1, got {num_feat} and {num_block}"
            )
        self.num_feat, self.scale = num_feat, scale
        self.spynet = SpyNet()
        self.backward_trunk = Backbone(num_feat + 3, num_feat, num_block)
        self.forward_trunk = Backbone(num_feat + 3, num_feat, num_block)
        self.fusion = nn.Conv2d(2 * num_feat, num_feat, 1)
        add_upsampling(self, num_feat, scale)

    @staticmethod
    def rename_official(name: str) -> str:
        """BasicSR's name of a weight, from mmagic's."""
        name = re.sub(r"^(backward|forward)_resblocks\.", r"\1_trunk.", name)
        name = re.sub(r"^upsample(\d)\.upsample_conv\.", r"upconv\1.", name)
        return spynet.rename_official(name)

    def restore(self, low: Tensor) -> Tensor:
        """Upscale a clip; see `VideoModel.restore`."""
        frames = low.unbind(1)  # T of (B, 3, H, W)
        backward_flows, forward_flows = neighbour_flows(self.spynet, low)
        future = self._propagate(self.backward_trunk, frames[::-1], backward_flows.flip(1))[::-1]
        past = self._propagate(self.forward_trunk, frames, forward_flows)
        high = [
            self.part(self._reconstruct, *features) for features in zip(frames, future, past, strict=True)
        ]
        return torch.stack(high, dim=1)

    def _propagate(self, backbone: Backbone, frames: tuple[Tensor, ...], flows: Tensor) -> list[Tensor]:
        """Visit frames in order; ``flows[:, k]`` leads from frame k+1 back to frame k."""
        batch, _, height, width = frames[0].shape
        state = frames[0].new_zeros(batch, self.num_feat, height, width)
        states: list[Tensor] = []
        for visit, frame in enumerate(frames):
            if visit:
                state = flow_warp(state, flows[:, visit - 1])
            state = self.part(backbone, torch.cat([frame, state], dim=1))
            states.append(state)
        return states

    def _reconstruct(self, frame: Tensor, future: Tensor, past: Tensor) -> Tensor:
        fused = F.leaky_relu(self.fusion(torch.cat([future, past], dim=1)), 0.1)
        return upsample(fused, self, self.scale) + bilinear_up(frame, self.scale)
