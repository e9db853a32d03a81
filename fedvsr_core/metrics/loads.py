"""How each metric is made ready: what it loads, and what it is measured with."""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from fedvsr_core.metrics.colour import Channel
from fedvsr_core.metrics.dists import DISTS
from fedvsr_core.metrics.measure import ByFrame, ByPair, ByVmaf, Conditions, Measure
from fedvsr_core.metrics.niqe import niqe
from fedvsr_core.metrics.per_frame import Scores
from fedvsr_core.metrics.perceptual import LPIPS
from fedvsr_core.metrics.psnr import psnr
from fedvsr_core.metrics.ssim import ssim
from fedvsr_core.metrics.temporal import tlp, tof_of_pair, warping_of_pair


def _of_channel(compare: Callable[..., float | Scores], channel: Channel, conditions: Conditions) -> Measure:
    device = conditions.device if conditions.device.type == "cuda" else None  # MPS knows no float64
    return ByFrame(partial(compare, channel=channel, border=conditions.border, device=device))


def _lpips(conditions: Conditions) -> Measure:
    return ByFrame(conditions.alex, conditions.alex.made_by)


def _lpips_vgg(conditions: Conditions) -> Measure:
    metric = LPIPS("vgg", device=conditions.device)
    return ByFrame(metric, metric.made_by)


def _dists(conditions: Conditions) -> Measure:
    metric = DISTS(device=conditions.device)
    return ByFrame(metric, metric.made_by)


def _niqe(conditions: Conditions) -> Measure:
    return ByFrame(lambda outputs, _: niqe(outputs))


def _vmaf(conditions: Conditions) -> Measure:
    return ByVmaf()


def _tof(conditions: Conditions) -> Measure:
    return ByPair(tof_of_pair, _made_by_flow())


def _tlp(conditions: Conditions) -> Measure:
    distance = conditions.alex
    return ByPair(lambda outputs, targets: tlp(outputs, targets, distance)[0], distance.made_by)


def _warping(conditions: Conditions) -> Measure:
    return ByPair(
        lambda outputs, targets: 1000 * np.array(warping_of_pair(outputs, targets)), _made_by_flow()
    )


def _made_by_flow() -> str:
    return f"Farneback's flow of OpenCV {cv2.__version__}"


LOADS: dict[str, Callable[[Conditions], Measure]] = {
    "psnr-y": partial(_of_channel, psnr, "y"),
    "ssim-y": partial(_of_channel, ssim, "y"),
    "psnr-rgb": partial(_of_channel, psnr, "rgb"),
    "ssim-rgb": partial(_of_channel, ssim, "rgb"),
    "lpips": _lpips,
    "lpips-vgg": _lpips_vgg,
    "dists": _dists,
    "niqe": _niqe,
    "vmaf": _vmaf,
    "tof": _tof,
    "tlp": _tlp,
    "warping": _warping,
}
"""By the names that `fedvsr_core.metrics.names.METRICS` give."""
