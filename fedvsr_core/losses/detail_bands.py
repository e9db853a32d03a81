"""The detail bands of a separable wavelet transform, as PyWavelets computes them."""

import torch
from torch import Tensor, nn

from fedvsr_core.errors import ConfigurationError, MissingToolError

Bands = tuple[Tensor, list[Tensor]]
"""The low band and the detail bands."""


class HaarBands(nn.Module):
    """One level of the Haar transform.

    An odd axis is extended by its last sample, which is PyWavelets' mode ``symmetric``; that sample has no detail.
    """

    def forward(self, clip: Tensor, over_time: bool) -> Bands:
        """Transform a clip.

        Args:
            clip: (B, T, C, H, W).
            over_time: Whether to transform the frame axis too.

        Returns:
            The low band and the seven detail bands, three without time; each (B, T/2, C, H/2, W/2), rounded up.
        """
        bands = [clip]
        for axis in (1, 3, 4) if over_time else (3, 4):
            bands = [half for band in bands for half in self._halves(band, axis)]
        return bands[0], bands[1:]

    @staticmethod
    def _halves(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        if x.shape[axis] % 2:
            x = torch.cat([x, x.narrow(axis, x.shape[axis] - 1, 1)], dim=axis)
        pairs: Tensor = x.unflatten(axis, (-1, 2))  # type: ignore[no-untyped-call]
        even, odd = pairs.unbind(axis + 1)
        return (even + odd) * 0.5**0.5, (even - odd) * 0.5**0.5


class WaveletBands(nn.Module):
    """One level of the transform with any discrete wavelet of PyWavelets, through pytorch-wavelets.

    Axes are extended by reflection, mode ``symmetric``, before pytorch-wavelets filters them: its own extension is
    right in value, but not in gradient. Slower by far than `HaarBands`.

    Args:
        wavelet: Name of an orthogonal or biorthogonal wavelet, such as ``db2`` or ``bior2.2``.

    Raises:
        MissingToolError: If the extra ``wavelets`` isn't installed.
        ConfigurationError: If there is no such wavelet.
    """

    def __init__(self, wavelet: str) -> None:
        super().__init__()
        try:
            import pywt
            from pytorch_wavelets import DWT1DForward, DWTForward
        except ImportError as error:
            raise MissingToolError(
                f"wavelet '{wavelet}' needs pytorch-wavelets ({error}); pip install 'fedvsr[wavelets]', or use 'haar'"
            ) from error
        if wavelet not in pywt.wavelist(kind="discrete"):
            raise ConfigurationError(f"wavelet must be a discrete one of PyWavelets, such as 'db2', got '{wavelet}'")
        self.length = int(pywt.Wavelet(wavelet).dec_len)
        self.space = DWTForward(J=1, wave=wavelet, mode="zero")
        self.time = DWT1DForward(J=1, wave=wavelet, mode="zero")

    def forward(self, clip: Tensor, over_time: bool) -> Bands:
        """Transform a clip.

        Args:
            clip: (B, T, C, H, W).
            over_time: Whether to transform the frame axis too.

        Returns:
            The low band and the seven detail bands, three without time.
        """
        self.to(device=clip.device, dtype=clip.dtype)
        rows, columns = (self._coefficients(size) for size in clip.shape[3:])
        frames = self._extend(self._extend(clip, 3), 4).flatten(0, 1)  # (B*T, C, H, W)
        low, (high,) = self.space(frames)
        bands = torch.cat([low.unsqueeze(2), high], dim=2)[..., rows, columns]  # (B*T, C, 4, H/2, W/2)
        bands = bands.unflatten(0, clip.shape[:2]).movedim(3, 0)  # (4, B, T, C, H/2, W/2)
        if not over_time:
            return bands[0], list(bands[1:])
        series = self._extend(bands, 2).movedim(2, -1)  # (4, B, C, H/2, W/2, T)
        low, (high,) = self.time(series.flatten(0, -2).unsqueeze(1))
        both = torch.stack([low, high])[..., self._coefficients(clip.shape[1])]  # (2, 4*B*C*H/2*W/2, 1, T/2)
        both = both.squeeze(2).unflatten(1, series.shape[:-1]).movedim(-1, 3)  # (2, 4, B, T/2, C, H/2, W/2)
        return both[0, 0], [*both[0, 1:], *both[1]]

    def _extend(self, x: Tensor, axis: int) -> Tensor:
        size = x.shape[axis]
        places = torch.arange(2 - self.length, 2 * self._count(size), device=x.device) % (2 * size)
        return x.index_select(axis, torch.where(places < size, places, 2 * size - 1 - places))

    def _count(self, size: int) -> int:
        return (size + self.length - 1) // 2

    def _coefficients(self, size: int) -> slice:
        first = (self.length - 2) // 2  # the ones before lie in the zeros around the extended axis
        return slice(first, first + self._count(size))
