"""Metrics as functions, on arrays and on tensors.

Clips are uint8 arrays (T, H, W, 3), or tensors (T, 3, H, W) in [0, 1], which are clamped and rounded to
8 bits as every table has them; a single frame lacks the first axis. Colours are RGB.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedvsr_core.errors import ConfigurationError, ShapeError
from fedvsr_core.metrics import niqe as niqe_module
from fedvsr_core.metrics import perceptual, temporal
from fedvsr_core.metrics import psnr as psnr_module
from fedvsr_core.metrics import ssim as ssim_module
from fedvsr_core.metrics import vmaf as vmaf_module
from fedvsr_core.metrics.average import Mean
from fedvsr_core.metrics.backbones import Net
from fedvsr_core.metrics.colour import Channel
from fedvsr_core.metrics.names import METRICS, check_names
from fedvsr_core.metrics.per_frame import Frames, Scores
from fedvsr_core.metrics.suite import Suite
from fedvsr_core.metrics.vmaf import Vmaf

__all__ = ("lpips", "names", "niqe", "psnr", "score", "ssim", "tlp", "tof", "vmaf", "warping_error")

Clip = npt.NDArray[Any] | Tensor


def names() -> list[str]:
    """The names that `score` knows."""
    return list(METRICS)


def score(
    output: Clip, target: Clip | None, metrics: Sequence[str] = ("psnr-y", "ssim-y"), *, border: int = 0
) -> dict[str, float]:
    """Means over the frames of a clip, by name of the metric.

    Args:
        output: A clip.
        target: Its ground truth; None where no metric needs one, as ``niqe``.
        metrics: Of `names`.
        border: Pixels cut off on all four sides, for PSNR and SSIM.

    Raises:
        ConfigurationError: If a name is unknown, or a metric needs the ground truth and there is none.
        MissingToolError: If a metric needs a package, program or file that isn't here.
        ShapeError: If the clips can't be compared.
    """
    check_names(metrics)
    if target is None and (comparing := [name for name in metrics if METRICS[name].reference]):
        raise ConfigurationError(f"without a ground truth there is no {', '.join(comparing)}")
    suite = Suite(metrics, border=border, device=torch.device("cpu"))
    with suite.clip() as scorer:
        clips = (_frames(output), _frames(output if target is None else target))
        scorer.add(*(clip if clip.ndim == 4 else clip[None] for clip in clips))
        values = scorer.values()
    return {name: Mean.of(values[name]).value for name in metrics}


def psnr(output: Clip, target: Clip, *, channel: Channel = "rgb", border: int = 0) -> float | Scores:
    """Peak signal-to-noise ratio in dB; see `fedvsr_core.metrics.psnr.psnr`."""
    return psnr_module.psnr(_frames(output), _frames(target), channel=channel, border=border)


def ssim(output: Clip, target: Clip, *, channel: Channel = "rgb", border: int = 0) -> float | Scores:
    """Structural similarity; see `fedvsr_core.metrics.ssim.ssim`."""
    return ssim_module.ssim(_frames(output), _frames(target), channel=channel, border=border)


def lpips(
    output: Clip, target: Clip, *, net: Net = "alex", weights: str | Path | None = None
) -> float | Scores:
    """LPIPS; see `fedvsr_core.metrics.perceptual.LPIPS`."""
    return _lpips(net, weights)(_frames(output), _frames(target))


def niqe(output: Clip) -> float | Scores:
    """Naturalness without a ground truth; see `fedvsr_core.metrics.niqe.niqe`."""
    return niqe_module.niqe(_frames(output))


def vmaf(output: Clip, target: Clip, fps: float = 25) -> Vmaf:
    """VMAF of a clip; see `fedvsr_core.metrics.vmaf.vmaf`."""
    return vmaf_module.vmaf(_frames(output), _frames(target), fps)


def tof(output: Clip, target: Clip) -> Scores:
    """Difference of motion for each pair of frames; see `fedvsr_core.metrics.temporal.tof`."""
    return temporal.tof(_frames(output), _frames(target))


def tlp(output: Clip, target: Clip, *, weights: str | Path | None = None) -> Scores:
    """Difference of change for each pair of frames; see `fedvsr_core.metrics.temporal.tlp`."""
    return temporal.tlp(_frames(output), _frames(target), _lpips("alex", weights))


def warping_error(output: Clip, target: Clip) -> tuple[Scores, Scores]:
    """Warping error, and the ground truth's; see `fedvsr_core.metrics.temporal.warping_error`."""
    return temporal.warping_error(_frames(output), _frames(target))


@lru_cache(maxsize=4)
def _lpips(net: Net, weights: str | Path | None) -> perceptual.LPIPS:
    return perceptual.LPIPS(net, weights)


def _frames(clip: Clip) -> Frames:
    """Frames as the metrics take them, uint8 with the colours last."""
    if not isinstance(clip, Tensor):
        return clip
    if clip.ndim not in (3, 4) or clip.shape[-3] != 3:
        raise ShapeError(
            f"a tensor must have shape (3, H, W) or (T, 3, H, W), got {tuple(clip.shape)}; of a batch, score"
            " one clip at a time"
        )
    if clip.is_floating_point():
        clip = clip.detach().clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(clip.movedim(-3, -1).cpu().numpy())
