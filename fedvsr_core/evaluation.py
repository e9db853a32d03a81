"""Scores of a model on clips that no client trains on, beside those of bicubic interpolation."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from fedvsr_core.data.clips import Clip, Frames
from fedvsr_core.data.degradation import bicubic_up, with_low
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError
from fedvsr_core.inference.upscale import upscale_frames
from fedvsr_core.metrics.colour import Channel
from fedvsr_core.metrics.psnr import psnr
from fedvsr_core.metrics.ssim import ssim
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.records.crops import Sample

Scores = dict[str, Any]
"""Means over clips by metric (such as ``psnr-y``), and under ``clips`` the same for each clip."""

_METRICS: dict[str, tuple[Callable[..., Any], Channel]] = {
    "psnr-y": (psnr, "y"),
    "ssim-y": (ssim, "y"),
    "psnr-rgb": (psnr, "rgb"),
    "ssim-rgb": (ssim, "rgb"),
}


class HeldOut:
    """The held-out clips of a run, decoded and degraded once.

    Every frame is scored, after rounding to 8 bits, without a border; a clip's score is the mean over its
    frames, and the score of all is the mean over clips. Frames that equal the ground truth have no finite
    PSNR and are left out.

    Args:
        shots: What to score on.
        degradation: Makes the low-resolution frames.
        chunk: Frames that the network sees at once.
        device: Where to compute.

    Raises:
        DataError: If there are no shots.
    """

    def __init__(
        self,
        shots: Iterable[Shot],
        *,
        degradation: Callable[[Frames], Frames],
        chunk: int,
        device: torch.device,
    ) -> None:
        self._clips = [with_low(shot.clip(), degradation) for shot in shots]
        if not self._clips:
            raise DataError(
                "expected held-out clips to score the model on, got none; name a folder of them in data"
            )
        self._chunk = chunk
        self._device = device
        self.bicubic = _scores(self._clips, (bicubic_up(_low(clip), _scale(clip)) for clip in self._clips))

    def score(self, model: VideoModel) -> Scores:
        """Score a model; moves it to the device and into evaluation mode."""
        model.to(self._device).eval()
        return _scores(self._clips, (self._restore(model, _low(clip)) for clip in self._clips))

    def samples(self, model: VideoModel) -> list[Sample]:
        """The middle frame of each clip: bicubic, of the model, and as it should be."""
        model.to(self._device).eval()
        found = []
        for clip in self._clips:
            middle = len(clip) // 2
            first = max(middle - self._chunk // 2, 0)
            ours = self._restore(model, _low(clip)[first : first + self._chunk])[middle - first]
            bicubic = bicubic_up(_low(clip)[middle], _scale(clip))
            found.append(Sample(clip.name, bicubic, ours, clip.high[middle]))
        return found

    def _restore(self, model: VideoModel, low: Frames) -> Frames:
        return np.stack(list(upscale_frames(model, low, device=self._device, chunk=self._chunk)))


def _scores(clips: Sequence[Clip], outputs: Iterable[Frames]) -> Scores:
    by_clip = {
        clip.name: {
            name: _mean(metric(output, clip.high, channel=channel))
            for name, (metric, channel) in _METRICS.items()
        }
        for clip, output in zip(clips, outputs, strict=True)
    }
    means = {name: _mean(np.array([scores[name] for scores in by_clip.values()])) for name in _METRICS}
    return {**means, "clips": by_clip}


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("inf")


def _low(clip: Clip) -> Frames:
    if clip.low is None:
        raise DataError(f"clip '{clip.name}' has no low-resolution frames")
    return clip.low


def _scale(clip: Clip) -> int:
    return int(clip.high.shape[1] // _low(clip).shape[1])
