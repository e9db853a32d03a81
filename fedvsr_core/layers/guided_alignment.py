"""Guided deformable attention: a clip's features aligned to the next clip, around where the flow points.

Source: Liang et al., RVRT, NeurIPS 2022, section 3.3.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fedvsr_core.layers.deformable_attention import deformable_attention
from fedvsr_core.layers.frame_conv import FrameConv
from fedvsr_core.layers.mlp import Mlp

_HIDDEN = 64  # channels of the network that finds offsets
_FRAMES = 2


class GuidedAlignment(nn.Module):
    """Aligns two frames to two others.

    Args:
        width: Channels.
        window: Rows and columns of samples in each frame.
        heads: Attention heads.
        groups: Of channels of keys and values that share their offsets.
        reach: Largest learned displacement in pixels, to be added to the flow.
    """

    def __init__(self, *, width: int, window: tuple[int, int], heads: int, groups: int, reach: float) -> None:
        super().__init__()
        self.window, self.heads, self.groups, self.reach = window, heads, groups, reach
        self.proj_q, self.proj_k, self.proj_v = (
            nn.ModuleDict({"1": nn.Linear(width, 2 * width)}) for _ in range(3)
        )
        self.mlp = nn.ModuleDict({"1": Mlp(inputs=width, hidden=2 * width, outputs=width)})
        layers = list[nn.Module]([FrameConv((1 + _FRAMES) * width + 2 * _FRAMES, _HIDDEN, 1)])
        for _ in range(4):
            layers += [nn.LeakyReLU(0.1), FrameConv(_HIDDEN, _HIDDEN, 3)]
        last = FrameConv(_HIDDEN, _FRAMES * groups * window[0] * window[1] * 2, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.conv_offset = nn.Sequential(*layers, nn.LeakyReLU(0.1), last)
        self.proj = nn.ModuleDict({"1": nn.Linear(2 * width, width)})

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, warped: Sequence[Tensor], flows: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Align the frames of one clip to those of another.

        Args:
            query: Features of the clip to align to, (B, 2, H, W, C).
            key: Features of the other clip, (B, 2, H, W, C).
            value: What to align, (B, 2, H, W, C).
            warped: ``value`` warped by each flow, 2 of (B, 2, H, W, C).
            flows: From frame j of the clip to frame j of the other one, and to the other's other frame, 2 of
                (B, 2, 2, H, W).

        Returns:
            The aligned features, (B, 2, H, W, C), and the flows with what was learned: the mean
            displacement of all samples, 2 of (B, 2, 2, H, W).
        """
        guides = [flow.movedim(2, -1) for flow in flows]  # (B, 2, H, W, 2)
        predicted = self.conv_offset(torch.cat([query, *warped, *guides], dim=-1)).to(guides[0].dtype)
        learned = self.reach * torch.tanh(predicted.unflatten(-1, (_FRAMES, -1, 2)))  # frame, tap, (y, x)
        offsets = learned + torch.stack(guides, dim=-2).flip(-1).unsqueeze(-2)
        updated = offsets.mean(-2).flip(-1)  # (B, 2, H, W, frame, xy)
        key_value = torch.cat([self.proj_k["1"](key), self.proj_v["1"](value)], dim=-1)
        attended = deformable_attention(
            _channels_first(self.proj_q["1"](query)),
            _channels_first(key_value),
            _channels_first(offsets.flatten(4)),
            heads=self.heads,
            kernel=self.window,
        )
        aligned = self.proj["1"](attended.movedim(2, -1))
        return aligned + self.mlp["1"](aligned), [_channels_first(flow) for flow in updated.unbind(-2)]


def _channels_first(x: Tensor) -> Tensor:
    """Channels first: (B, T, H, W, C) -> (B, T, C, H, W)."""
    return x.movedim(-1, 2)
