"""Small recurrent networks that learn on a CPU in minutes.

Two recurrences run over the clip, one from each end; each gets the detail of the frame, that of the
neighbouring frame before it, and its own hidden state. The states of both are turned into a residual over
the bicubic upscaling, without optical flow. A network for cameras has the first recurrence alone, so that no
frame waits for a later one. The design follows the recurrent residual networks of Isobe et al. ("Revisiting
Temporal Modeling for Video Super-resolution", BMVC 2020), made bidirectional; weights and sizes are our own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.layers.bicubic import bicubic_up
from fedvsr_core.models.contract import VideoModel

_DETAIL_GAIN = 10.0
"""Brings the detail of natural frames, some hundredths of their range, to what layers are initialised for."""


class Recurrent(VideoModel):
    """Recurrent network over bicubic upscaling, from both ends of a clip or from its start alone.

    The last convolution starts at zero: an untrained network scores what bicubic interpolation scores.

    Args:
        width: Channels of the hidden states.
        blocks: Residual blocks of each recurrence.
        scale: Upscaling factor.
        lookahead: Whether frames depend on later ones, too.

    Raises:
        ConfigurationError: If an argument is smaller than one.
    """

    tail = ("residual.",)

    def __init__(self, *, width: int, blocks: int, scale: int, lookahead: bool = True) -> None:
        super().__init__()
        if min(width, blocks, scale) < 1:
            raise ConfigurationError(
                f"width, blocks and scale must be at least 1, got {width}, {blocks}, {scale}"
            )
        self.scale = scale
        self.forwards = _Recurrence(width=width, blocks=blocks)
        self.backwards = _Recurrence(width=width, blocks=blocks) if lookahead else None
        self.fuse = nn.Conv2d(2 * width if lookahead else width, width, 1)
        self.residual = nn.Conv2d(width, 3 * scale**2, 3, padding=1)
        recurrences = [recurrence for recurrence in (self.forwards, self.backwards) if recurrence]
        for layer in (*(recurrence.enter for recurrence in recurrences), self.fuse):
            nn.init.kaiming_normal_(layer.weight, a=0.1)
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.residual.bias)  # type: ignore[arg-type]

    def restore(self, low: Tensor) -> Tensor:
        """Upscale a clip; see `VideoModel.restore`."""
        return self.restore_wanted(low, slice(0, low.shape[1]))

    def restore_wanted(self, low: Tensor, wanted: slice) -> Tensor:
        """The same for some frames: each recurrence ends with the last of these that it comes to."""
        frames = _detail(low.flatten(0, 1)).view(low.shape).unbind(1)  # T of (B, 3, H, W)
        known = torch.stack(
            self.forwards(frames[: wanted.stop])[wanted.start :], dim=1
        )  # (B, T, width, H, W)
        if self.backwards:
            future = self.backwards(frames[wanted.start :][::-1])[::-1][: wanted.stop - wanted.start]
            known = torch.cat([known, torch.stack(future, dim=1)], dim=2)
        fused = F.leaky_relu(self.fuse(known.flatten(0, 1)), 0.1)
        residual = F.pixel_shuffle(self.residual(fused), self.scale)  # (B*T, 3, sH, sW)
        high: Tensor = residual + bicubic_up(low[:, wanted].flatten(0, 1), self.scale)
        return high.view(len(low), -1, *high.shape[1:])


class _Recurrence(nn.Module):
    """One direction: from frames in order to their hidden states."""

    def __init__(self, *, width: int, blocks: int) -> None:
        super().__init__()
        self.width = width
        self.enter = nn.Conv2d(2 * 3 + width, width, 3, padding=1)
        self.blocks = nn.Sequential(*(_ResidualBlock(width) for _ in range(blocks)))

    def forward(self, frames: tuple[Tensor, ...]) -> list[Tensor]:
        batch, _, height, width = frames[0].shape
        hidden, previous, states = frames[0].new_zeros(batch, self.width, height, width), frames[0], []
        for frame in frames:
            hidden = self.blocks(F.leaky_relu(self.enter(torch.cat([frame, previous, hidden], dim=1)), 0.1))
            states.append(hidden)
            previous = frame
        return states


def _detail(images: Tensor) -> Tensor:
    """How each pixel differs from the mean of its 3 x 3 neighbourhood: what a residual depends on.

    Given plain frames, whose brightness dominates their detail, the same network learns far more slowly.
    """
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    return _DETAIL_GAIN * (images - F.avg_pool2d(padded, 3, stride=1))


class _ResidualBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.1)  # a deep recurrence stays near the identity at the start

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(F.relu(self.first(x)))
        return x + change
