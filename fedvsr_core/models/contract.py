"""The interface of every video super-resolution network."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fedvsr_core.errors import ShapeError

Layers = Annotated[int, Field(ge=1, le=1000)]
"""A number of layers or blocks, in a network's constructor."""
Side = Annotated[int, Field(ge=1, le=256)]
"""A side of a window: frames, rows or columns."""

Sharpness = Annotated[float, Field(gt=0, le=100)]
"""A factor of the products in attention; beyond, they overflow, and NaN kills torchvision's convolutions."""


@dataclass(frozen=True)
class SizeNeeds:
    """The clip sizes a network takes; smaller or uneven ones are padded by `VideoModel.forward`.

    Attributes:
        multiple: Height and width must be multiples of this.
        minimum: Smallest height and width.
        min_frames: Fewest frames.
        frames_multiple: The number of frames must be a multiple of this.
    """

    multiple: int = 1
    minimum: int = 1
    min_frames: int = 1
    frames_multiple: int = 1


class VideoModel(nn.Module):
    """Base of all networks: checks the clip, pads it to the declared needs, restores it and crops the result.

    Attributes:
        scale: Upscaling factor of height and width.
        channels: Of an input frame; non-blind denoising networks have a fourth, the noise level.
        needs: Clip sizes that `restore` takes.
        unused_parameters: Names of parameters that the published architecture has but never uses. They get no
            gradient, and don't travel.
        constants: Names of floating-point buffers that never change. They don't travel.
        tail: How the names of the layers begin whose shapes depend on the upscaling factor.
        late: Parts of names; parameters whose name contains one of them are pretrained, and may start to
            learn later than the others and with smaller steps (the setting ``flow``).
        weights_licence: Licence under which the authors publish weights for this network.
        beyond_onnx: The part that, written as ONNX, takes clips of one size alone; empty if none is known.
        checkpointing: Whether `part` recomputes activations in the backward pass.
    """

    scale: int = 4
    channels: int = 3
    needs: SizeNeeds = SizeNeeds()
    unused_parameters: frozenset[str] = frozenset()
    constants: frozenset[str] = frozenset()
    tail: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    weights_licence: str = "unknown; ask whoever made them"
    beyond_onnx: str = ""
    checkpointing: bool = False

    @abstractmethod
    def restore(self, low: Tensor) -> Tensor:
        """Upscale a clip whose size meets `needs`; (B, T, 3, H, W) -> (B, T, 3, sH, sW)."""

    def restore_wanted(self, low: Tensor, wanted: slice) -> Tensor:
        """Some of the frames that `restore` gives; a network that can leaves out work for the others alone.

        Args:
            low: As for `restore`.
            wanted: Which frames, with start and stop inside the clip.
        """
        return self.restore(low)[:, wanted]

    @staticmethod
    def rename_official(name: str) -> str:
        """Our name of a weight, from the one that a published checkpoint of any family gives it."""
        return name

    def forward(self, low: Tensor, wanted: slice | None = None) -> Tensor:
        """Upscale a clip.

        Where the network needs more, the edge of the frames is repeated and the clip continued by reflection;
        what that adds is cut off again.

        Args:
            low: Low-resolution clip (B, T, 3, H, W), RGB in [0, 1].
            wanted: Which frames are given back; the network sees all of them. None: all.

        Returns:
            The clip at ``scale`` times the height and width, (B, T, 3, sH, sW), not clamped.

        Raises:
            ShapeError: If ``low`` isn't five-dimensional with three channels, or is empty.
        """
        if low.ndim != 5 or low.shape[2] != self.channels or not low.numel():
            raise ShapeError(f"a clip must have shape (B, T, {self.channels}, H, W), got {tuple(low.shape)}")
        frames, height, width = low.shape[1], *low.shape[3:]
        more = _missing(frames, self.needs.min_frames, self.needs.frames_multiple)
        bottom, right = (_missing(size, self.needs.minimum, self.needs.multiple) for size in (height, width))
        if more:
            low = low[:, _reflected(frames + more, frames, low.device)]
        if bottom or right:
            padded = F.pad(low.flatten(0, 1), (0, right, 0, bottom), mode="replicate")
            low = padded.view(*low.shape[:2], *padded.shape[1:])
        first, stop, _ = (wanted or slice(None)).indices(frames)
        high = self.restore_wanted(low, slice(first, stop))
        return high[..., : self.scale * height, : self.scale * width]

    def part(self, function: Callable[..., Any], *inputs: Any) -> Any:  # noqa: ANN401 (what the part returns)
        """Call a part of the network; with `checkpointing`, only its inputs are kept for the gradient.

        Args:
            function: A module, or a function that calls some.
            inputs: Its tensors.
        """
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(function, *inputs, use_reentrant=False)
        return function(*inputs)

    def late_parameters(self) -> list[str]:
        """Names of the parameters that `late` stands for."""
        return [name for name, _ in self.named_parameters() if any(word in name for word in self.late)]


def _missing(size: int, minimum: int, multiple: int) -> int:
    wanted = max(size, minimum)
    return wanted + -wanted % multiple - size


def _reflected(length: int, frames: int, device: torch.device) -> Tensor:
    """Frame numbers 0 .. length-1 reflected into 0 .. frames-1, the last frame not repeated."""
    period = max(2 * (frames - 1), 1)
    index = torch.arange(length, device=device) % period
    return torch.where(index < frames, index, period - index)
