"""The metrics that can be asked for, each in one declaration: how it is measured, and how it is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import cv2
import numpy as np

from fedvsr_core.components import nearest
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.metrics.colour import Channel
from fedvsr_core.metrics.dists import DISTS
from fedvsr_core.metrics.measure import ByFrame, ByPair, ByVmaf, Conditions, Measure
from fedvsr_core.metrics.per_frame import Scores
from fedvsr_core.metrics.perceptual import LPIPS
from fedvsr_core.metrics.psnr import psnr
from fedvsr_core.metrics.ssim import ssim
from fedvsr_core.metrics.temporal import tlp, tof_of_pair, warping_of_pair


@dataclass(frozen=True, kw_only=True)
class Metric:
    """All that there is to know of a metric.

    Attributes:
        label: What people call it.
        unit: Of its numbers; empty for those that have none.
        digits: Decimals to print.
        range: What no value can be below or above; where there is no end, what none on video comes near.
        best: Which end is better: ``high``, ``low``, or ``truth`` where the ground truth's own value is.
        load: Makes it ready, and loads what it needs. Metrics with the same one are measured together, and
            are the values of its scores in the order of `METRICS`.
        paired: Whether it is of a frame and the next one, so that there is one value less than frames.
    """

    label: str
    unit: str = ""
    digits: int
    range: tuple[float, float]
    best: Literal["high", "low", "truth"]
    load: Callable[[Conditions], Measure]
    paired: bool = False

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def value(self, score: float) -> str:
        """A score with its decimals and unit."""
        return f"{score:.{self.digits}f} {self.unit}".rstrip()


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


METRICS = {
    "psnr-y": Metric(
        label="PSNR-Y",
        unit="dB",
        digits=3,
        range=(0, 100),
        best="high",
        load=partial(_of_channel, psnr, "y"),
    ),
    "ssim-y": Metric(
        label="SSIM-Y",
        digits=4,
        range=(-1, 1),
        best="high",
        load=partial(_of_channel, ssim, "y"),
    ),
    "psnr-rgb": Metric(
        label="PSNR-RGB",
        unit="dB",
        digits=3,
        range=(0, 100),
        best="high",
        load=partial(_of_channel, psnr, "rgb"),
    ),
    "ssim-rgb": Metric(
        label="SSIM-RGB",
        digits=4,
        range=(-1, 1),
        best="high",
        load=partial(_of_channel, ssim, "rgb"),
    ),
    "lpips": Metric(label="LPIPS-alex", digits=4, range=(0, 10), best="low", load=_lpips),
    "lpips-vgg": Metric(label="LPIPS-vgg", digits=4, range=(0, 10), best="low", load=_lpips_vgg),
    "dists": Metric(label="DISTS", digits=4, range=(0, 2), best="low", load=_dists),
    "vmaf": Metric(label="VMAF", digits=3, range=(0, 100), best="high", load=_vmaf),
    "tof": Metric(label="tOF", unit="pixels", digits=4, range=(0, 1e4), best="low", load=_tof, paired=True),
    "tlp": Metric(label="tLP", unit="x 100", digits=4, range=(0, 1e3), best="low", load=_tlp, paired=True),
    "warping": Metric(
        label="warping error",
        unit="x 1000",
        digits=4,
        range=(0, 1e4),
        best="truth",
        load=_warping,
        paired=True,
    ),
    "warping-truth": Metric(
        label="warping error of the truth",
        unit="x 1000",
        digits=4,
        range=(0, 1e4),
        best="truth",
        load=_warping,
        paired=True,
    ),
}
"""By name."""


def measured_with(name: str) -> tuple[str, ...]:
    """The metrics that are measured together with one, itself among them."""
    return tuple(other for other, metric in METRICS.items() if metric.load is METRICS[name].load)


def check_names(names: Sequence[str]) -> None:
    """See whether all of these are metrics.

    Raises:
        ConfigurationError: If there is none, or one is unknown.
    """
    if not names:
        raise ConfigurationError("at least one metric must be asked for, got none")
    for name in names:
        if name not in METRICS:
            raise ConfigurationError(f"metric '{name}' is unknown{nearest(name, METRICS)}")
