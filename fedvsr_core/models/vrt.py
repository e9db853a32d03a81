"""VRT, the Video Restoration Transformer.

A U-shaped network over all frames at once: at each scale, frames attend to each other in pairs, then in
windows, and neighbouring frames are warped to every frame in parallel.

Source: Liang et al., "VRT: A Video Restoration Transformer", 2022 (arXiv 2201.12288); written from a
functional description, without the authors' code. Arguments, state-dict keys and results are those of the
published networks. Their weights are CC-BY-NC 4.0.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedvsr_core.components import Count
from fedvsr_core.errors import ConfigurationError, ShapeError
from fedvsr_core.layers.attention_group import AttentionGroup, ResidualGroup
from fedvsr_core.layers.frame_conv import FrameConv, Upsampler, resized
from fedvsr_core.layers.mlp import GatedMlp
from fedvsr_core.layers.parallel_warping import ParallelWarping
from fedvsr_core.layers.spynet import FINEST, SpyNet
from fedvsr_core.layers.warp import flow_warp, nearest_four
from fedvsr_core.layers.windows import Size3
from fedvsr_core.models.contract import Layers, Sharpness, Side, SizeNeeds
from fedvsr_core.models.transformer import VideoTransformer, checkpoint_blocks

_STAGES = 7  # of the U; what follows reconstructs
_HALVINGS = (0, 1, 2, 3, 2, 1, 0)  # of height and width, at each stage
_REACH = 10.0  # pixels at full resolution
_HEAD = 64  # channels

Flows = list[list[Tensor]]
"""For each distance from 1, the flow at 1, 1/2, 1/4 and 1/8 of the size, (B, T - distance, 2, H, W)."""


class VRT(VideoTransformer):
    """Video Restoration Transformer; 30.7 M parameters for 6 frames, 35.1 M for 16.

    Defaults are those of the published code. `depths`, `embed_dims` and `num_heads` have an entry for each of
    the seven stages of the U and for each module of reconstruction.

    Args:
        upscale: 1 to restore without upscaling, else 3 or a power of 2.
        in_chans: Channels of an input frame.
        out_chans: Channels of an output frame; without flow, of all output frames together.
        img_size: Frames, height, width. Only frames count, and only without flow: clips have so many.
        window_size: Frames, rows and columns of an attention window.
        depths: Attention layers.
        indep_reconsts: Indices in `depths` (from 7) of reconstruction modules that process single frames.
        embed_dims: Channels.
        num_heads: Attention heads.
        mul_attn_ratio: Share of a stage's layers in which frames attend to each other in pairs.
        mlp_ratio: Hidden width of feed-forward parts over `embed_dims`.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Of the attention logits; None means 1 / sqrt(channels of a head).
        drop_path_rate: Largest probability, of the last layer, that a branch is dropped in training.
        pa_frames: Neighbouring frames that are warped to a frame, half from each side: 0, 2, 4 or 6; 0 means
            no flow at all, to interpolate frames.
        deformable_groups: Groups of channels that share offsets in warping.
        nonblind_denoising: Whether the input has another channel, the noise level / 255.
        use_checkpoint_attn: Whether attention is recomputed in the backward pass.
        use_checkpoint_ffn: The same of feed-forward parts.
        no_checkpoint_attn_blocks: Indices in `depths` that are excepted.
        no_checkpoint_ffn_blocks: The same of feed-forward parts.

    Raises:
        ConfigurationError: If the arguments contradict each other.
    """

    tail = ("upsample.",)
    late = ("spynet", "deform")

    def __init__(
        self,
        *,
        upscale: int = 4,
        in_chans: int = 3,
        out_chans: int = 3,
        img_size: Size3 = (6, 64, 64),
        window_size: tuple[Side, Side, Side] = (6, 8, 8),
        depths: Sequence[Layers] = (*[8] * 7, *[4] * 6),
        indep_reconsts: Sequence[int] = (11, 12),
        embed_dims: Sequence[int] = (*[120] * 7, *[180] * 6),
        num_heads: Sequence[int] = (6,) * 13,
        mul_attn_ratio: float = 0.75,
        mlp_ratio: float = 2.0,
        qkv_bias: bool = True,
        qk_scale: Sharpness | None = None,
        drop_path_rate: float = 0.2,
        pa_frames: int = 2,
        deformable_groups: Count = 16,
        nonblind_denoising: bool = False,
        use_checkpoint_attn: bool = False,
        use_checkpoint_ffn: bool = False,
        no_checkpoint_attn_blocks: Sequence[int] = (),
        no_checkpoint_ffn_blocks: Sequence[int] = (),
    ) -> None:
        super().__init__()
        _check(upscale, depths, embed_dims, num_heads, pa_frames)
        height, width = window_size[1:]
        self.scale = upscale
        self.channels = in_chans + nonblind_denoising
        self.in_chans, self.out_chans, self.pa_frames = in_chans, out_chans, pa_frames
        self.frames = img_size[0]
        self.needs = SizeNeeds(
            multiple=8,
            minimum=8 * max(height, width),
            min_frames=max(2, pa_frames // 2 + 1) if pa_frames else self.frames,
        )
        starts = [0, *accumulate(depths)]
        rates = [drop_path_rate * layer / (starts[-1] - 1) for layer in range(starts[-1])]
        drops = [rates[start:end] for start, end in pairwise(starts)]

        def group(
            place: int, window: Size3, drops: Sequence[float], *, mutual: bool = False
        ) -> AttentionGroup:
            return AttentionGroup(
                width=embed_dims[place],
                window=window,
                heads=num_heads[place],
                mutual=mutual,
                gated=True,
                mlp_ratio=mlp_ratio,
                drops=drops,
                bias=qkv_bias,
                scale=qk_scale,
            )

        inputs = self.channels + (8 * in_chans if pa_frames else 0)
        self.conv_first = FrameConv(inputs, embed_dims[0], 3)
        if pa_frames:
            self.spynet = SpyNet()
        for place in range(_STAGES):
            mutual = int(depths[place] * mul_attn_ratio)
            stage = _Stage(
                inputs=embed_dims[max(place - 1, 0)],
                step=_HALVINGS[place] - _HALVINGS[max(place - 1, 0)],
                width=embed_dims[place],
                # Both groups count their layers from the first one.
                mutual=group(place, (2, height, width), drops[place][:mutual], mutual=True),
                attention=group(place, window_size, drops[place][: depths[place] - mutual]),
                warping=ParallelWarping(
                    width=embed_dims[place],
                    neighbours=pa_frames // 2,
                    groups=deformable_groups,
                    reach=_REACH / 2 ** _HALVINGS[place],
                )
                if pa_frames
                else None,
            )
            self.add_module(f"stage{place + 1}", stage)
        enter = nn.ModuleDict(
            {"1": nn.LayerNorm(embed_dims[6]), "2": nn.Linear(embed_dims[6], embed_dims[7])}
        )
        self.stage8 = nn.ModuleList([enter])
        for place in range(_STAGES, len(depths)):
            window = (1, height, width) if place in indep_reconsts else window_size
            self.stage8.append(ResidualGroup(group(place, window, drops[place]), embed_dims[place]))
        self.norm = nn.LayerNorm(embed_dims[-1])
        self.conv_after_body = nn.Linear(embed_dims[-1], embed_dims[0])
        self._add_head(embed_dims[0])
        self.constants = self._float_buffers()
        for place in range(len(depths)):
            checkpoint_blocks(
                self._stage(place) if place < _STAGES else self.stage8[place - _STAGES + 1],
                attention=use_checkpoint_attn and place not in no_checkpoint_attn_blocks,
                mlp=use_checkpoint_ffn and place not in no_checkpoint_ffn_blocks,
            )

    def _add_head(self, width: int) -> None:
        if not self.pa_frames:
            self.linear_fuse = nn.Conv2d(width * self.frames, _HEAD, 1)
            self.conv_last: nn.Module = nn.Conv2d(_HEAD, self.out_chans, 7)
        elif self.scale == 1:
            self.conv_last = FrameConv(width, self.out_chans, 3)
        else:
            self.conv_before_upsample = nn.Sequential(FrameConv(width, _HEAD, 3), nn.LeakyReLU(0.01))
            self.upsample = Upsampler(scale=self.scale, width=_HEAD)
            self.conv_last = FrameConv(_HEAD, self.out_chans, 3)

    def restore(self, low: Tensor) -> Tensor:
        """Restore a clip; see `VideoModel.restore`."""
        if not self.pa_frames:
            return self._interpolate(low)
        images = low[:, :, : self.in_chans]
        towards, away = self._flows(images)
        warped = _neighbours(images, towards[0][0], away[0][0])
        noise = low[:, :, self.in_chans :]
        features = self.conv_first(_channels_last(torch.cat([images, warped, noise], dim=2)))
        features = features + self._body(features, towards, away)
        if self.scale == 1:
            return _channels_first(self.conv_last(features)) + images
        detail = self.part(self._upscale, features)
        return _channels_first(detail) + resized(images, self.scale)

    def _upscale(self, features: Tensor) -> Tensor:
        high: Tensor = self.conv_last(self.upsample(self.conv_before_upsample(features)))
        return high

    def _interpolate(self, low: Tensor) -> Tensor:
        """Interpolated frames, from all input frames together, (B, out_chans / 3, 3, H, W)."""
        if low.shape[1] != self.frames:
            raise ShapeError(
                f"without flow, clips must have the {self.frames} frames of img_size, got {low.shape[1]}"
            )
        mean = low.mean(dim=(1, 3, 4), keepdim=True)
        features = self.conv_first(_channels_last(low - mean))
        features = _channels_first(features + self._body(features, [], [])).flatten(1, 2)  # (B, T * C, H, W)
        fused = F.leaky_relu(self.linear_fuse(features), 0.2)
        frames: Tensor = self.conv_last(F.pad(fused, (3, 3, 3, 3), mode="reflect"))
        return frames.view(len(low), -1, 3, *low.shape[-2:]) + mean

    def _flows(self, images: Tensor) -> tuple[Flows, Flows]:
        """Flows from later frames to earlier ones, and back, over 1 .. pa_frames / 2 frames."""
        batch, frames = images.shape[:2]
        earlier, later = images[:, :-1].flatten(0, 1), images[:, 1:].flatten(0, 1)
        levels = [FINEST - halvings for halvings in range(4)]
        directions = []
        for reference, supporting in ((earlier, later), (later, earlier)):
            steps = self.spynet.at_levels(reference, supporting, levels)
            steps = [flow.unflatten(0, (batch, frames - 1)) for flow in steps]
            directions.append([steps])
        towards, away = directions
        for distance in range(1, self.pa_frames // 2):
            count = frames - 1 - distance
            towards.append(
                [
                    _composed(far[:, :count], near[:, distance:])
                    for far, near in zip(towards[-1], towards[0], strict=True)
                ]
            )
            away.append(
                [_composed(far[:, 1:], near[:, :count]) for far, near in zip(away[-1], away[0], strict=True)]
            )
        return towards, away

    def _body(self, features: Tensor, towards: Flows, away: Flows) -> Tensor:
        def stage(number: int, x: Tensor) -> Tensor:
            scale = _HALVINGS[number - 1]
            later, earlier = ([flows[scale] for flows in all_flows] for all_flows in (towards, away))
            y: Tensor = self._stage(number - 1)(x, later, earlier)
            return y

        at_1 = stage(1, features)
        at_2 = stage(2, at_1)
        at_3 = stage(3, at_2)
        x = stage(5, stage(4, at_3))
        x = stage(6, x + at_3)
        x = stage(7, x + at_2) + at_1
        enter, *modules = self.stage8
        x = enter["2"](enter["1"](x))  # type: ignore[index]
        for module in modules:
            x = module(x)
        y: Tensor = self.conv_after_body(self.norm(x))
        return y

    def _stage(self, place: int) -> nn.Module:
        return self.get_submodule(f"stage{place + 1}")


class _Stage(nn.Module):
    """One scale of the U: resampling, attention in pairs and in windows, parallel warping."""

    def __init__(
        self,
        *,
        inputs: int,
        step: int,
        width: int,
        mutual: AttentionGroup,
        attention: AttentionGroup,
        warping: ParallelWarping | None,
    ) -> None:
        super().__init__()
        self.step = step  # 1 halves the size, -1 doubles it
        inner = inputs * 4**step if step >= 0 else inputs // 4
        self.reshape = nn.ModuleDict({"1": nn.LayerNorm(inner)})
        if step:
            self.reshape["2"] = nn.Linear(inner, width)
        self.residual_group1 = mutual
        self.linear1 = nn.Linear(width, width)
        self.residual_group2 = attention
        self.linear2 = nn.Linear(width, width)
        if warping is not None:
            self.pa_deform = warping
            self.pa_fuse = GatedMlp(inputs=3 * width, hidden=3 * width, outputs=width)

    def forward(self, x: Tensor, later: list[Tensor], earlier: list[Tensor]) -> Tensor:
        """(B, T, H, W, inputs) -> (B, T, H', W', width); flows as `ParallelWarping` takes them, both ways."""
        x = self.resample(x)
        x = x + self.linear1(self.residual_group1(x))
        x = x + self.linear2(self.residual_group2(x))
        if not later:
            return x
        features = _channels_first(x)
        backward = self.pa_deform(features, later)
        forward = self.pa_deform(features.flip(1), [flow.flip(1) for flow in earlier]).flip(1)
        y: Tensor = self.pa_fuse(torch.cat([x, _channels_last(backward), _channels_last(forward)], dim=-1))
        return y

    def resample(self, x: Tensor) -> Tensor:
        """To the scale and width of this stage."""
        if self.step > 0:
            x = _space_to_depth(x)
        elif self.step < 0:
            x = _depth_to_space(x)
        for layer in self.reshape.values():
            x = layer(x)
        return x


def _check(
    upscale: int, depths: Sequence[int], widths: Sequence[int], heads: Sequence[int], pa_frames: int
) -> None:
    if not len(depths) == len(widths) == len(heads) > _STAGES:
        raise ConfigurationError(
            "depths, embed_dims and num_heads must have one length above 7,"
            f" got {len(depths)}, {len(widths)} and {len(heads)}"
        )
    if widths[0] != widths[6] or widths[1] != widths[5] or widths[2] != widths[4] or len({*widths[7:]}) > 1:
        raise ConfigurationError(
            "embed_dims must be equal at stages 1 and 7, 2 and 6, 3 and 5, and in reconstruction,"
            f" got {list(widths)}"
        )
    if pa_frames not in (0, 2, 4, 6):
        raise ConfigurationError(f"pa_frames must be 0, 2, 4 or 6, got {pa_frames}")
    if not pa_frames and upscale != 1:
        raise ConfigurationError(f"without flow (pa_frames 0), upscale must be 1, got {upscale}")


def _neighbours(images: Tensor, towards: Tensor, away: Tensor) -> Tensor:
    """The next and the previous frame warped to each one, four pixels a position, (B, T, 8C, H, W)."""
    nothing = images.new_zeros(len(images), 1, 4 * images.shape[2], *images.shape[3:])
    after = nearest_four(images[:, 1:].flatten(0, 1), towards.flatten(0, 1)).unflatten(0, towards.shape[:2])
    before = nearest_four(images[:, :-1].flatten(0, 1), away.flatten(0, 1)).unflatten(0, away.shape[:2])
    return torch.cat([torch.cat([after, nothing], dim=1), torch.cat([nothing, before], dim=1)], dim=2)


def _composed(first: Tensor, then: Tensor) -> Tensor:
    """The composition of two flows: along one, and from there along the other; (B, T, 2, H, W)."""
    return first + flow_warp(then.flatten(0, 1), first.flatten(0, 1)).view(first.shape)


def _space_to_depth(x: Tensor) -> Tensor:
    """(B, T, H, W, C) -> (B, T, H/2, W/2, 4C); of the four pixels, the column counts more than the row."""
    batch, frames, height, width, channels = x.shape
    cut = x.view(batch, frames, height // 2, 2, width // 2, 2, channels)
    return cut.permute(0, 1, 2, 4, 5, 3, 6).flatten(4)


def _depth_to_space(x: Tensor) -> Tensor:
    """(B, T, H, W, 4C) -> (B, T, 2H, 2W, C); the inverse of `_space_to_depth`."""
    cut = x.view(*x.shape[:-1], 2, 2, -1)  # (B, T, H, W, column, row, C)
    return cut.permute(0, 1, 2, 5, 3, 4, 6).flatten(4, 5).flatten(2, 3)


def _channels_first(x: Tensor) -> Tensor:
    """Channels first: (B, T, H, W, C) -> (B, T, C, H, W)."""
    return x.movedim(-1, 2)


def _channels_last(x: Tensor) -> Tensor:
    """Channels last: (B, T, C, H, W) -> (B, T, H, W, C)."""
    return x.movedim(2, -1)
