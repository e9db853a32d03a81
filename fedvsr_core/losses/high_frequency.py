"""The high-frequency loss: Charbonnier on the detail bands of a 3D wavelet transform."""

from typing import Annotated, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor, nn

from fedvsr_core.errors import ConfigurationError, ShapeError
from fedvsr_core.losses.charbonnier import subtract
from fedvsr_core.losses.detail_bands import HaarBands, PtwtBands, PytorchWaveletsBands
from fedvsr_core.losses.haar_charbonnier import HaarCharbonnier

Levels = Annotated[int, Field(ge=1, le=16)]
"""How often the low band is split again."""
Library = Literal["ptwt", "pytorch-wavelets"]
"""What transforms with wavelets other than Haar."""


class HighFrequencyLoss(nn.Module):
    """Mean of ``sqrt(c^2 + eps)`` over the detail coefficients ``c`` of ``output - target``.

    One level splits (time, height, width) into eight bands; all but the low one count. The next level splits
    the low band again; the mean is over the coefficients of all levels together. The transform is linear, so
    one of the difference stands for one of each clip.

    Axes are extended by reflection where the wavelet reaches beyond them (PyWavelets' mode ``symmetric``):
    Haar does so at an odd size, whose last sample meets itself. A single frame is transformed in space only:
    three detail bands.

    Args:
        wavelet: ``haar``, or another orthogonal or biorthogonal wavelet of PyWavelets with the extra
            ``wavelets``.
        levels: At least 1; the paper's is 1, and after 16 nothing is left of 65,536 pixels.
        eps: Smoothing, > 0; the paper's value. At equality the loss is its root, 3.2e-5.
        library: What transforms if the wavelet isn't Haar; both give the same.

    Raises:
        ConfigurationError: If an argument is out of its range.
        MissingToolError: If the wavelet isn't Haar, and the library isn't installed.

    Source: FedVSR (MMSys 2026), high-frequency loss.
    """

    def __init__(
        self, wavelet: str = "haar", levels: Levels = 1, eps: float = 1e-9, library: Library = "ptwt"
    ) -> None:
        super().__init__()
        if levels < 1 or not eps > 0:
            raise ConfigurationError(f"levels must be at least 1 and eps > 0, got {levels} and {eps}")
        if library not in get_args(Library):
            raise ConfigurationError(
                f"library must be one of {', '.join(get_args(Library))}, got '{library}'"
            )
        self.wavelet = wavelet
        self.levels = levels
        self.eps = eps
        self.is_haar = wavelet in ("haar", "db1")
        other = PtwtBands if library == "ptwt" else PytorchWaveletsBands
        self.bands = HaarBands() if self.is_haar else other(wavelet)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compare a clip with its ground truth.

        Args:
            output: (B, T, C, H, W), of any size.
            target: The shape of ``output``.

        Returns:
            Scalar, in float32 at least: ``eps`` would vanish in half precision.

        Raises:
            ShapeError: If the shapes differ, aren't five-dimensional, or have an axis of size 0.
        """
        if output.ndim != 5 or output.shape != target.shape or output.numel() == 0:
            raise ShapeError(
                "output and target must be clips of one shape (B, T, C, H, W),"
                f" got {tuple(output.shape)} and {tuple(target.shape)}"
            )
        if self.is_haar and not torch.compiler.is_compiling():  # a compiler fuses the steps by itself
            loss: Tensor = HaarCharbonnier.apply(output, target, self.levels, self.eps)
            return loss
        low, over_time = subtract(output, target), output.shape[1] > 1
        total, count = low.new_zeros(()), 0
        for _ in range(self.levels):
            low, details = self.bands(low, over_time)
            for band in details:
                total = total + torch.sqrt(band * band + self.eps).sum()
                count += band.numel()
        return total / count
