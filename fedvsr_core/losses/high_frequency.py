"""The high-frequency loss: Charbonnier on the detail bands of a 3D wavelet transform."""

import torch
from torch import Tensor, nn

from fedvsr_core.errors import ShapeError
from fedvsr_core.losses.charbonnier import subtract


class HighFrequencyLoss(nn.Module):
    """First version: Haar only."""

    def __init__(self, wavelet: str = "haar", levels: int = 1, eps: float = 1e-9) -> None:
        super().__init__()
        self.wavelet = wavelet
        self.levels = levels
        self.eps = eps

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compare two clips (B, T, C, H, W)."""
        if output.ndim != 5:
            raise ShapeError(f"clips must have shape (B, T, C, H, W), got {tuple(output.shape)}")
        low = subtract(output, target)
        axes = (1, 3, 4) if low.shape[1] > 1 else (3, 4)
        total, count = low.new_zeros(()), 0
        for _ in range(self.levels):
            bands = [low]
            for axis in axes:
                bands = [half for band in bands for half in _halve(band, axis)]
            low, details = bands[0], bands[1:]
            total = total + sum(torch.sqrt(band * band + self.eps).sum() for band in details)
            count += sum(band.numel() for band in details)
        return total / count


def _halve(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    if x.shape[axis] % 2:
        x = torch.cat([x, x.narrow(axis, x.shape[axis] - 1, 1)], dim=axis)
    pairs = x.unflatten(axis, (-1, 2))
    even, odd = pairs.select(axis + 1, 0), pairs.select(axis + 1, 1)
    return (even + odd) * 0.5**0.5, (even - odd) * 0.5**0.5
