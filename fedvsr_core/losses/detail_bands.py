"""The detail bands of a separable wavelet transform, as PyWavelets computes them."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from fedvsr_core.errors import ConfigurationError, MissingToolError

Bands = tuple[Tensor, list[Tensor]]
"""The low band and the detail bands."""


class HaarBands(nn.Module):
    """One level of the Haar transform.

    An odd axis is extended by its last sample, which is PyWavelets' mode ``symmetric``; that sample has no
    detail.
    """

    def forward(self, clip: Tensor, over_time: bool) -> Bands:
        """Transform a clip.

        Args:
            clip: (B, T, C, H, W).
            over_time: Whether to transform the frame axis too.

        Returns:
            The low band and the seven detail bands, three without time; each (B, T/2, C, H/2, W/2), rounded
            up.
        """
        bands = [clip]
        for axis in (1, 3, 4) if over_time else (3, 4):
            bands = [half for band in bands for half in self._halves(band, axis)]
        return bands[0], bands[1:]

    @staticmethod
    def _halves(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        if x.shape[axis] % 2:
            x = torch.cat([x, x.narrow(axis, x.shape[axis] - 1, 1)], dim=axis)
        pairs: Tensor = x.unflatten(axis, (-1, 2))
        even, odd = pairs.unbind(axis + 1)
        return (even + odd) * 0.5**0.5, (even - odd) * 0.5**0.5


class PtwtBands(nn.Module):
    """One level of the transform with any discrete wavelet of PyWavelets, through ptwt.

    Args:
        wavelet: Name of an orthogonal or biorthogonal wavelet, such as ``db2`` or ``bior2.2``.

    Raises:
        MissingToolError: If the extra ``wavelets`` isn't installed.
        ConfigurationError: If there is no such wavelet.
    """

    def __init__(self, wavelet: str) -> None:
        super().__init__()
        _taps(wavelet, "ptwt", "'fedvsr[wavelets]'")
        self.wavelet = wavelet

    def forward(self, clip: Tensor, over_time: bool) -> Bands:
        """Transform a clip.

        Args:
            clip: (B, T, C, H, W).
            over_time: Whether to transform the frame axis too.

        Returns:
            The low band and the seven detail bands, three without time; each has the clip's axes.
        """
        low, *details = _by_ptwt(clip, self.wavelet, over_time)
        return low, details


class PytorchWaveletsBands(nn.Module):
    """The same as `PtwtBands`, through pytorch-wavelets.

    Axes are extended by reflection, mode ``symmetric``, before pytorch-wavelets filters them: its own
    extension is right in value, but not in gradient. Slower by far.

    Args:
        wavelet: As for `PtwtBands`.

    Raises:
        MissingToolError: If pytorch-wavelets isn't installed.
        ConfigurationError: If there is no such wavelet.
    """

    low_pass: Tensor
    high_pass: Tensor

    def __init__(self, wavelet: str) -> None:
        super().__init__()
        taps = _taps(wavelet, "pytorch_wavelets", "pytorch-wavelets==1.3.0 'setuptools<81'")
        self.length = len(taps.dec_lo)
        self.register_buffer("low_pass", torch.tensor(taps.dec_lo[::-1], dtype=torch.float64)[None, None])
        self.register_buffer("high_pass", torch.tensor(taps.dec_hi[::-1], dtype=torch.float64)[None, None])

    def forward(self, clip: Tensor, over_time: bool) -> Bands:
        """Transform a clip.

        Args:
            clip: (B, T, C, H, W).
            over_time: Whether to transform the frame axis too.

        Returns:
            The low band and the seven detail bands, three without time.
        """
        filters = self.low_pass.to(clip), self.high_pass.to(clip)
        rows, columns = (self._coefficients(size) for size in clip.shape[3:])
        frames = self._extend(self._extend(clip, 3), 4).flatten(0, 1)  # (B*T, C, H, W)
        bands = torch.cat(_split_space(frames, *filters), dim=2)[..., rows, columns]  # (B*T, C, 4, H/2, W/2)
        bands = bands.unflatten(0, clip.shape[:2]).movedim(3, 0)
        if not over_time:
            return bands[0], list(bands[1:])  # (B, T, C, H/2, W/2) each
        series = self._extend(bands, 2).movedim(2, -1)  # (4, B, C, H/2, W/2, T)
        halves = torch.stack(_split_time(series.flatten(0, -2).unsqueeze(1), *filters)).squeeze(2)
        halves = halves[..., self._coefficients(clip.shape[1])]  # (2, 4*B*C*H/2*W/2, T/2)
        bands = halves.unflatten(1, series.shape[:-1]).movedim(-1, 3)  # (2, 4, B, T/2, C, H/2, W/2)
        return bands[0, 0], [*bands[0, 1:], *bands[1]]

    def _extend(self, x: Tensor, axis: int) -> Tensor:
        size = x.shape[axis]
        places = torch.arange(2 - self.length, 2 * self._count(size), device=x.device) % (2 * size)
        return x.index_select(axis, torch.where(places < size, places, 2 * size - 1 - places))

    def _coefficients(self, size: int) -> slice:
        first = (self.length - 2) // 2  # those before see the zeros around the extended axis
        return slice(first, first + self._count(size))

    def _count(self, size: int) -> int:
        return (size + self.length - 1) // 2


def _taps(wavelet: str, library: str, install: str) -> Any:  # noqa: ANN401 (PyWavelets has no types)
    """The wavelet's filters; says now what is missing."""
    try:
        import_module(library)
        pywt = import_module("pywt")
    except ImportError as error:
        raise MissingToolError(
            f"wavelet '{wavelet}' needs {library.replace('_', '-')} ({error}); pip install {install}, or use"
            " 'haar'"
        ) from error
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise ConfigurationError(
            f"wavelet must be a discrete one of PyWavelets, such as 'db2', got '{wavelet}'"
        )
    return pywt.Wavelet(wavelet)


# A compiler takes these as one step each: the libraries ask PyWavelets for sizes, which can't be traced.
@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _by_ptwt(clip: Tensor, wavelet: str, over_time: bool) -> list[Tensor]:
    """(B, T, C, H, W) to all bands, the low one first."""
    import ptwt

    bands = [clip]
    # Its transform of several axes at once takes all products of the filters' taps: 76 cubed for db38.
    for axis in (1, 3, 4) if over_time else (3, 4):
        halves = [ptwt.wavedec(band.movedim(axis, -1), wavelet, mode="symmetric", level=1) for band in bands]
        bands = [half.movedim(-1, axis) for pair in halves for half in pair]
    return bands


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _split_space(x: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C, H, W) to the low band (N, C, 1, H/2, W/2) and the details (N, C, 3, H/2, W/2)."""
    from pytorch_wavelets.dwt.lowlevel import AFB2D, mode_to_int

    columns, rows = (low.unsqueeze(-1), high.unsqueeze(-1)), (low.unsqueeze(-2), high.unsqueeze(-2))
    lowest, details = AFB2D.apply(x, *columns, *rows, mode_to_int("zero"))
    return lowest.unsqueeze(2), details


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _split_time(x: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 1, T) to the low and the high band, (N, 1, T/2) each."""
    from pytorch_wavelets.dwt.lowlevel import AFB1D, mode_to_int

    lowest, details = AFB1D.apply(x, low, high, mode_to_int("zero"))
    return lowest, details
