"""RVRT, the Recurrent Video Restoration Transformer.

Clips of two frames are processed in both directions, twice; the features of the previous clip are aligned to
the next one by guided deformable attention.

Source: Liang et al., "Recurrent Video Restoration Transformer with Guided Deformable Attention", NeurIPS 2022
(arXiv 2206.02146); written from a functional description, without the authors' code. Arguments, state-dict
keys and results are those of the published networks. Their weights are CC-BY-NC 4.0.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedvsr_core.components import Count
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.layers.attention_group import AttentionGroup, ResidualGroup
from fedvsr_core.layers.frame_conv import FrameConv, Upsampler, resized
from fedvsr_core.layers.guided_alignment import GuidedAlignment
from fedvsr_core.layers.spynet import SpyNet, neighbour_flows
from fedvsr_core.layers.warp import flow_warp
from fedvsr_core.layers.window_attention import WindowAttention
from fedvsr_core.layers.windows import Size3
from fedvsr_core.models.contract import Layers, Sharpness, Side, SizeNeeds
from fedvsr_core.models.transformer import VideoTransformer, checkpoint_blocks

BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")
"""In the order in which they run; each also gets the features of those before it."""

_CLIP = 2  # frames
_HEAD = 64  # channels

Clips = list[Tensor]
"""Features of clips in the order of time, each (B, 2, H, W, C)."""


class RVRT(VideoTransformer):
    """Recurrent Video Restoration Transformer; 10.8 M parameters.

    Defaults are those of the published code. Arguments with three entries are for the extraction of features,
    each branch of propagation, and reconstruction.

    Args:
        upscale: 1 to restore without upscaling, else 3 or a power of 2; 4 in the paper.
        clip_size: Frames that are visited together; only 2 is defined.
        img_size: Frames, height, width of the published training; nothing depends on them.
        window_size: Frames, rows and columns of an attention window.
        num_blocks: Residual groups.
        depths: Attention layers of each residual group.
        embed_dims: Channels; the first two are equal.
        num_heads: Attention heads.
        mlp_ratio: Hidden width of feed-forward parts over `embed_dims`.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Of the attention logits; None means 1 / sqrt(channels of a head).
        inputconv_groups: Groups of the first convolution of extraction, the four branches, reconstruction.
        max_residue_magnitude: Largest learned displacement in pixels, which is added to the flow.
        deformable_groups: Groups of channels that share their displacements.
        attention_heads: Heads of the guided deformable attention.
        attention_window: Rows and columns of its samples in each frame.
        nonblind_denoising: Whether the input has another channel, the noise level / 255; not with upscaling.
        cpu_cache_length: Clips with more frames are kept in the CPU's memory between the branches.
        use_checkpoint_attn: Whether attention is recomputed in the backward pass.
        use_checkpoint_ffn: The same of feed-forward parts.

    Raises:
        ConfigurationError: If the arguments contradict each other.
    """

    tail = ("upsampler.",)
    late = ("spynet",)

    def __init__(
        self,
        *,
        upscale: int = 4,
        clip_size: int = 2,
        img_size: Size3 = (2, 64, 64),
        window_size: tuple[Side, Side, Side] = (2, 8, 8),
        num_blocks: tuple[Layers, Layers, Layers] = (1, 2, 1),
        depths: tuple[Layers, Layers, Layers] = (2, 2, 2),
        embed_dims: tuple[int, int, int] = (144, 144, 144),
        num_heads: tuple[int, int, int] = (6, 6, 6),
        mlp_ratio: float = 2.0,
        qkv_bias: bool = True,
        qk_scale: Sharpness | None = None,
        inputconv_groups: Sequence[int] = (1, 1, 1, 1, 1, 1),
        max_residue_magnitude: float = 10.0,
        deformable_groups: Count = 12,
        attention_heads: Count = 12,
        attention_window: tuple[Side, Side] = (3, 3),
        nonblind_denoising: bool = False,
        cpu_cache_length: int = 100,
        use_checkpoint_attn: bool = False,
        use_checkpoint_ffn: bool = False,
    ) -> None:
        super().__init__()
        _check(upscale, clip_size, embed_dims, inputconv_groups, nonblind_denoising)
        self.scale = upscale
        self.channels = 3 + nonblind_denoising
        self.cpu_cache_length = cpu_cache_length
        shrink = 4 if upscale == 1 else 1  # where the size stays, features have a quarter of it
        self.needs = SizeNeeds(
            multiple=shrink, minimum=shrink * max(window_size[1:]), min_frames=_CLIP, frames_multiple=_CLIP
        )
        width = embed_dims[0]

        def block(place: int, inputs: int, groups: int) -> FeatureBlock:
            window = window_size if place == 1 else (1, *window_size[1:])
            return FeatureBlock(
                inputs=inputs,
                conv_groups=groups,
                width=embed_dims[place],
                num_blocks=num_blocks[place],
                depth=depths[place],
                heads=num_heads[place],
                window=window,
                mlp_ratio=mlp_ratio,
                bias=qkv_bias,
                scale=qk_scale,
            )

        self.spynet = SpyNet()
        self.feat_extract: nn.Module = block(0, width if upscale == 1 else 3, inputconv_groups[0])
        if upscale == 1:
            self.feat_extract = nn.ModuleDict(
                {
                    "1": FrameConv(self.channels, width, 3, stride=2),
                    "3": FrameConv(width, width, 3, stride=2),
                    "6": self.feat_extract,
                }
            )
        self.backbone = nn.ModuleDict(
            {
                name: block(1, (2 + place) * width, inputconv_groups[place + 1])
                for place, name in enumerate(BRANCHES)
            }
        )
        self.deform_align = nn.ModuleDict(
            {
                name: GuidedAlignment(
                    width=width,
                    window=attention_window,
                    heads=attention_heads,
                    groups=deformable_groups,
                    reach=max_residue_magnitude,
                )
                for name in BRANCHES
            }
        )
        self.reconstruction = block(2, 5 * width, inputconv_groups[5])
        self.conv_before_upsampler = nn.Sequential(FrameConv(embed_dims[2], _HEAD, 1), nn.LeakyReLU(0.1))
        self.upsampler = Upsampler(scale=4 if upscale == 1 else upscale, width=_HEAD)
        self.conv_last = FrameConv(_HEAD, 3, 3)
        for module in self.modules():
            if isinstance(module, WindowAttention):
                nn.init.zeros_(module.relative_position_bias_table)
        self.constants = self._float_buffers()
        checkpoint_blocks(self, attention=use_checkpoint_attn, mlp=use_checkpoint_ffn)

    def restore(self, low: Tensor) -> Tensor:
        """Restore a clip; see `VideoModel.restore`."""
        images = low[:, :, :3]
        backward, forward = neighbour_flows(self.spynet, self._at_feature_size(images))
        known = {"shallow": self._cached(list(self._shallow(low).split(_CLIP, dim=1)))}
        guides: dict[str, list[list[Tensor]]] = {}
        for name in BRANCHES:
            direction = name.partition("_")[0]
            if direction not in guides:
                guides[direction] = _guides(backward.flip(1) if direction == "backward" else forward)
            known[name] = self._propagate(name, known, guides[direction])
        clips = zip(*known.values(), strict=True)
        detail = [self.part(self._reconstruct, *self._on_device(features, low)) for features in clips]
        return torch.cat(detail, dim=1) + resized(images, self.scale)

    def _at_feature_size(self, images: Tensor) -> Tensor:
        if self.scale != 1:
            return images
        small = F.interpolate(images.flatten(0, 1), scale_factor=0.25, mode="bicubic", align_corners=False)
        return small.view(*images.shape[:3], *small.shape[-2:])

    def _shallow(self, low: Tensor) -> Tensor:
        """Features of single frames, (B, T, H, W, C)."""
        x, extract = low.movedim(2, -1), self.feat_extract
        if isinstance(extract, nn.ModuleDict):
            x = F.leaky_relu(extract["3"](F.leaky_relu(extract["1"](x), 0.1)), 0.1)
            extract = extract["6"]
        features: Tensor = extract(x)
        return features

    def _propagate(self, name: str, known: dict[str, Clips], guides: list[list[Tensor]]) -> Clips:
        """Visit all clips, backward from the last one, with the frames of each reversed.

        Args:
            name: Of the branch.
            known: Features of all branches before, the shallow ones first.
            guides: Flows for each step but the first, in the order of visits. A second-round branch gets
                those that the first round of its direction has left here.
        """
        backward, first_round = name.startswith("backward"), name.endswith("_1")
        visits = [[clip.flip(1) for clip in clips[::-1]] if backward else clips for clips in known.values()]
        state = torch.zeros_like(visits[0][0], device=self.conv_last.weight.device)
        states: Clips = []
        for step in range(len(visits[0])):
            clip = self._on_device([clips[step] for clips in visits], state)
            if step:
                (before,) = self._on_device([visits[-1][step - 1]], state)
                state, moved = self.part(self._align, name, clip[-1], before, state, *guides[step - 1])
                if first_round:
                    guides[step - 1] = moved
            state = state + self.backbone[name](torch.cat([*clip, state], dim=-1))
            states.append(state)
        return self._cached([state.flip(1) for state in states[::-1]] if backward else states)

    def _align(
        self, name: str, query: Tensor, key: Tensor, state: Tensor, flow: Tensor, other_flow: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        warped = [_warped(state, flow), _warped(state.flip(1), other_flow)]
        aligned: tuple[Tensor, list[Tensor]] = self.deform_align[name](
            query, key, state, warped, [flow, other_flow]
        )
        return aligned

    def _reconstruct(self, *features: Tensor) -> Tensor:
        """From all branches' features of a clip to its frames at four times the size, (B, 2, 3, 4H, 4W)."""
        x = self.conv_before_upsampler(self.reconstruction(torch.cat(features, dim=-1)))
        frames: Tensor = self.conv_last(self.upsampler(x))
        return frames.movedim(-1, 2)

    def _cached(self, clips: Clips) -> Clips:
        return [clip.cpu() for clip in clips] if _CLIP * len(clips) > self.cpu_cache_length else clips

    @staticmethod
    def _on_device(clips: Sequence[Tensor], like: Tensor) -> Clips:
        return [clip.to(like.device) for clip in clips]


class FeatureBlock(nn.Module):
    """A convolution, residual groups of window attention between two norms; no residual around it all.

    Args:
        inputs: Channels in.
        conv_groups: Groups of the convolution.
        width: Channels out.
        num_blocks: Residual groups.
        depth: Attention layers of each.
        heads: Attention heads.
        window: Frames, rows and columns of an attention window.
        mlp_ratio: Hidden width of feed-forward parts over `width`.
        bias: Whether queries, keys and values have one.
        scale: Of the attention logits; None means 1 / sqrt(width / heads).
    """

    def __init__(
        self,
        *,
        inputs: int,
        conv_groups: int,
        width: int,
        num_blocks: int,
        depth: int,
        heads: int,
        window: Size3,
        mlp_ratio: float,
        bias: bool = True,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        groups = (
            AttentionGroup(
                width=width,
                window=window,
                heads=heads,
                mutual=False,
                gated=False,
                mlp_ratio=mlp_ratio,
                drops=[0.0] * depth,
                bias=bias,
                scale=scale,
            )
            for _ in range(num_blocks)
        )
        self.main = nn.ModuleDict(
            {
                "1": FrameConv(inputs, width, 3, groups=conv_groups),
                "3": nn.LayerNorm(width),
                "5": nn.Sequential(*(ResidualGroup(group, width) for group in groups)),
                "7": nn.LayerNorm(width),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, inputs) -> (B, T, H, W, width)."""
        for layer in self.main.values():
            x = layer(x)
        return x


def _check(
    upscale: int, clip_size: int, widths: Sequence[int], groups: Sequence[int], nonblind: bool
) -> None:
    if clip_size != _CLIP:
        raise ConfigurationError(f"clip_size must be 2, got {clip_size}")
    if widths[0] != widths[1]:
        raise ConfigurationError(f"the first two of embed_dims must be equal, got {list(widths)}")
    if len(groups) != len(BRANCHES) + 2:
        raise ConfigurationError(f"inputconv_groups must have six entries, got {list(groups)}")
    if nonblind and upscale != 1:
        raise ConfigurationError(f"nonblind_denoising must go with upscale 1, got {upscale}")


def _guides(flows: Tensor) -> list[list[Tensor]]:
    """Flows from each clip but the first to the one before it.

    Args:
        flows: Flow that warps each visited frame onto the next, (B, T-1, 2, H, W).

    Returns:
        For each clip but the first, flows to the frames (0, 1) and (1, 0) of the one before, (B, 2, 2, H, W).
    """
    guides = []
    for start in range(0, flows.shape[1] - 2, _CLIP):
        from_0_to_1, from_1_to_2, from_2_to_3 = flows[:, start : start + 3].unbind(1)
        from_0_to_2 = from_1_to_2 + flow_warp(from_0_to_1, from_1_to_2)
        from_1_to_3 = from_2_to_3 + flow_warp(from_1_to_2, from_2_to_3)
        from_0_to_3 = from_2_to_3 + flow_warp(from_0_to_2, from_2_to_3)
        straight, crossed = (from_0_to_2, from_1_to_3), (from_1_to_2, from_0_to_3)
        guides.append([torch.stack(straight, dim=1), torch.stack(crossed, dim=1)])
    return guides


def _warped(x: Tensor, flow: Tensor) -> Tensor:
    """Warp frames, (B, T, H, W, C), by flows, (B, T, 2, H, W)."""
    images = flow_warp(x.flatten(0, 1).permute(0, 3, 1, 2), flow.flatten(0, 1))
    return images.permute(0, 2, 3, 1).reshape(x.shape)
