"""What every video super-resolution network promises."""

from abc import abstractmethod
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from fedvsr_core.errors import ShapeError


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

    Class attributes:
        scale: Upscaling factor of height and width.
        needs: Clip sizes that `restore` takes.
        unused_parameters: Names of parameters that the published architecture has but never uses.
    """

    scale: int = 4
    needs: SizeNeeds = SizeNeeds()
    unused_parameters: frozenset[str] = frozenset()

    @abstractmethod
    def restore(self, low: Tensor) -> Tensor:
        """Upscale a clip whose size meets `needs`; (B, T, 3, H, W) -> (B, T, 3, sH, sW)."""

    def forward(self, low: Tensor) -> Tensor:
        """Upscale a clip.

        Args:
            low: Low-resolution clip (B, T, 3, H, W), RGB in [0, 1].

        Returns:
            The clip at ``scale`` times the height and width, (B, T, 3, sH, sW), not clamped.

        Raises:
            ShapeError: If ``low`` isn't five-dimensional with three channels, or has too few frames.
        """
        if low.ndim != 5 or low.shape[2] != 3:
            raise ShapeError(f"a clip must have shape (B, T, 3, H, W), got {tuple(low.shape)}")
        frames, height, width = low.shape[1], *low.shape[3:]
        if frames < self.needs.min_frames or frames % self.needs.frames_multiple:
            raise ShapeError(
                f"{type(self).__name__} takes clips of at least {self.needs.min_frames} frames in multiples"
                f" of {self.needs.frames_multiple}, got {frames}; change training.window or drop the clip"
            )
        bottom, right = self._missing(height), self._missing(width)
        if bottom or right:
            padded = F.pad(low.flatten(0, 1), (0, right, 0, bottom), mode="replicate")
            low = padded.view(*low.shape[:2], *padded.shape[1:])
        return self.restore(low)[..., : self.scale * height, : self.scale * width]

    def _missing(self, size: int) -> int:
        wanted = max(size, self.needs.minimum)
        return wanted + -wanted % self.needs.multiple - size
