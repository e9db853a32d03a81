"""IART: recurrent propagation through window attention, with implicit resampling-based alignment.

Source: Xu et al., "Enhancing Video Super-Resolution via Implicit Resampling-based Alignment", CVPR 2024,
whose code (MIT) gives the state-dict keys; the propagation follows Shi et al., "Rethinking Alignment in Video
Super-Resolution Transformers", NeurIPS 2022. Other than there, frames may be smaller than 64 pixels, and a
clip that is followed by its mirror image takes no shortcut to the same result.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.layers import spynet
from fedvsr_core.layers.implicit_alignment import ImplicitAlignment
from fedvsr_core.layers.shifted_windows import ShiftedWindowBlock, mask_of
from fedvsr_core.layers.spynet import SpyNet, neighbour_flows
from fedvsr_core.layers.upsample import HIGH_WIDTH, add_upsampling, bilinear_up, upsample
from fedvsr_core.layers.warp import flow_warp
from fedvsr_core.layers.windows import Size3
from fedvsr_core.models.contract import Layers, Side, VideoModel

_BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")
_FRAMES = 3  # of a backbone's input
_DROP_PATH = 0.1  # of the last block in training; rises from zero
_UNUSED = ("conv_first", "conv_first_feat", "conv_before_upsample")  # of each backbone

Part = Callable[..., Any]


class IART(VideoModel):
    """Upscales clips of any size, from one frame on.

    Args:
        mid_channels: Channels of the upsampling; 64 in the paper.
        embed_dim: Channels of the features, a multiple of 4 and of all heads, but not 64; 120 in the paper.
        depths: Blocks of each group; (6, 6, 6) in the paper.
        num_heads: Heads of the attention in each group; (6, 6, 6) in the paper. The alignment has as many as
            the first.
        window_size: Frames, rows and columns of a window; (3, 8, 8) in the paper.
        scale: Upscaling factor, 2, 3, 4 or 8; 4 in the paper.
        in_channels: 3; other values are refused, as are those of the next arguments.
        num_frames: Frames of a backbone's input: 3.
        patch_size: 1.
        is_low_res_input: True.
        img_size: Size of the training crops, as published configurations name it; changes nothing.
        cpu_cache_length: Clips of more frames keep their features in the CPU's memory; values don't change.

    Raises:
        ConfigurationError: If an argument has a value that it can't have; names it.
    """

    constants = frozenset({"spynet.mean", "spynet.std", "implicit_warp.position_bias"})
    late = ("spynet",)
    tail = ("upconv",)
    beyond_onnx = "attention in windows"
    weights_licence = "MIT (IART)"
    unused_parameters = frozenset(
        f"swin_backbone.{branch}.{layer}.{kind}"
        for branch in _BRANCHES
        for layer in _UNUSED
        for kind in ("weight", "bias")
    )

    def __init__(
        self,
        *,
        mid_channels: int,
        embed_dim: int,
        depths: Sequence[Layers],
        num_heads: Sequence[int],
        window_size: Sequence[Side],
        scale: int = 4,
        in_channels: int = 3,
        num_frames: int = _FRAMES,
        patch_size: int = 1,
        is_low_res_input: bool = True,
        img_size: int = 64,
        cpu_cache_length: int = 100,
    ) -> None:
        super().__init__()
        fixed = {
            "in_channels": (in_channels, 3),
            "num_frames": (num_frames, _FRAMES),
            "patch_size": (patch_size, 1),
            "is_low_res_input": (is_low_res_input, True),
        }
        for name, (given, only) in fixed.items():
            if given != only:
                raise ConfigurationError(f"{name} must be {only}, as in the published network, got {given}")
        if not depths or len(depths) != len(num_heads) or min(*depths, *num_heads, mid_channels) < 1:
            raise ConfigurationError(
                "mid_channels must be positive, depths and num_heads as many positive numbers,"
                f" got {mid_channels}, {list(depths)} and {list(num_heads)}"
            )
        if embed_dim < 1 or embed_dim == HIGH_WIDTH or any(embed_dim % number for number in (4, *num_heads)):
            raise ConfigurationError(
                f"embed_dim must be a multiple of 4 and of num_heads {list(num_heads)}, but not {HIGH_WIDTH},"
                f" which the published network treats differently; got {embed_dim}"
            )
        if len(window_size) != 3 or min(window_size) < 1:
            raise ConfigurationError(f"window_size must be three positive numbers, got {list(window_size)}")
        window = (window_size[0], window_size[1], window_size[2])
        self.scale = scale
        self.cpu_cache_length = cpu_cache_length
        self.conv_before_upsample = nn.Conv2d(embed_dim, mid_channels, 3, padding=1)
        self.spynet = SpyNet()
        self.conv_first = nn.Conv2d(3, embed_dim, 3, padding=1)
        self.swin_backbone = nn.ModuleDict(
            {name: _Backbone(embed_dim, depths, num_heads, window) for name in _BRANCHES}
        )
        add_upsampling(self, mid_channels, scale)
        self.implicit_warp = ImplicitAlignment(embed_dim, num_heads[0])

    @staticmethod
    def rename_official(name: str) -> str:
        """Our name of a weight; only SpyNet's may be other ones."""
        return spynet.rename_official(name)

    def restore(self, low: Tensor) -> Tensor:
        """Upscale a clip; see `VideoModel.restore`."""
        frames = low.unbind(1)  # T of (B, 3, H, W)
        backward_flows, forward_flows = neighbour_flows(self.spynet, low)
        keep = Tensor.cpu if len(frames) > self.cpu_cache_length else Tensor.contiguous
        features = [keep(self.conv_first(frame)) for frame in frames]
        for name in _BRANCHES:  # each continues with the features of the one before
            turn = -1 if name.startswith("backward") else 1  # backward branches visit the last frame first
            flows = backward_flows.flip(1) if turn < 0 else forward_flows
            features = list(map(keep, self._propagate(name, features[::turn], flows)))[::turn]
        high = [
            self.part(self._reconstruct, frame, feature.to(low.device))
            for frame, feature in zip(frames, features, strict=True)
        ]
        return torch.stack(high, dim=1)

    def _propagate(self, name: str, visits: Sequence[Tensor], flows: Tensor) -> list[Tensor]:
        """Visit features (B, E, H, W) in order; ``flows[:, k]`` leads from visit k+1 back to visit k."""
        features: list[Tensor] = []
        for visit, given in enumerate(visits):
            current = given.to(flows.device)
            if visit == 0:
                latest = before = current
            else:
                flow = flows[:, visit - 1]
                latest = self.part(self.implicit_warp, features[-1], current, flow)
                before = torch.zeros_like(current)
            if visit > 1:
                flow_2 = flow + flow_warp(flows[:, visit - 2], flow)
                before = self.part(self.implicit_warp, features[-2], current, flow_2)
            triple = torch.stack([latest, current, before], dim=1)  # (B, 3, E, H, W)
            features.append(self.swin_backbone[name](triple, self.part))
        return features

    def _reconstruct(self, frame: Tensor, feature: Tensor) -> Tensor:
        residual = upsample(self.conv_before_upsample(feature), self, self.scale)
        return residual + bilinear_up(frame, self.scale)


class _Backbone(nn.Module):
    """From three features to that of the middle one: (N, 3, E, H, W) -> (N, E, H, W)."""

    def __init__(self, width: int, depths: Sequence[int], num_heads: Sequence[int], window: Size3) -> None:
        super().__init__()
        self.window = window
        self.conv_first = nn.Conv2d(3, width, 3, padding=1)
        self.conv_first_feat = nn.Conv2d(HIGH_WIDTH, width, 3, padding=1)
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(width)})
        rates = torch.linspace(0, _DROP_PATH, sum(depths), device="cpu").split(list(depths))
        self.layers = nn.ModuleList(
            _Group(width, heads, window, rate.tolist()) for heads, rate in zip(num_heads, rates, strict=True)
        )
        self.norm = nn.LayerNorm(width)
        self.conv_after_body = nn.Conv2d(width, width, 3, padding=1)
        self.conv_before_upsample = nn.Conv2d(width, HIGH_WIDTH, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, triple: Tensor, part: Part) -> Tensor:
        middle = triple[:, _FRAMES // 2]
        x = self.patch_embed["norm"](triple.movedim(2, -1))  # (N, 3, H, W, E)
        mask = mask_of(x.shape[1:4], self.window, x.device)
        for layer in self.layers:
            x = layer(x, mask, part)
        feature = self.norm(x[:, _FRAMES // 2]).movedim(-1, 1)  # (N, E, H, W)
        change: Tensor = self.conv_after_body(feature)
        return change + middle


class _Group(nn.Module):
    """Blocks, every other one shifted, then a convolution of each frame; around a shortcut."""

    def __init__(self, width: int, heads: int, window: Size3, drop_paths: Sequence[float]) -> None:
        super().__init__()
        blocks = [
            ShiftedWindowBlock(width, heads, window, shifted=bool(number % 2), drop_path=rate)
            for number, rate in enumerate(drop_paths)
        ]
        self.residual_group = nn.Module()
        self.residual_group.blocks = nn.ModuleList(blocks)
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor, part: Part) -> Tensor:
        out = x
        for block in cast(nn.ModuleList, self.residual_group.blocks):
            out = part(block, out, mask)
        frames = out.movedim(-1, 2).flatten(0, 1)  # (N*3, E, H, W)
        convolved: Tensor = self.conv(frames).view(*x.shape[:2], -1, *x.shape[2:4])
        return x + convolved.movedim(2, -1)
