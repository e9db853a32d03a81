"""The metrics that can be asked for, and how their numbers are read; whoever only reads needs no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fedvsr_core.components import nearest
from fedvsr_core.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Metric:
    """All that there is to know of a metric.

    Attributes:
        label: What people call it.
        unit: Of its numbers; empty for those that have none.
        digits: Decimals to print.
        range: What no value can be below or above; where there is no end, what none on video comes near.
        best: Which end is better: ``high``, ``low``, or ``truth`` where the ground truth's own value is.
        load: What makes it ready, by its name in `fedvsr_core.metrics.loads`. Metrics with the same one are
            measured together, and are the values of its scores in the order of `METRICS`.
        paired: Whether it is of a frame and the next one, so that there is one value less than frames.
        reference: Whether it compares with a ground truth.
    """

    label: str
    unit: str = ""
    digits: int
    range: tuple[float, float]
    best: Literal["high", "low", "truth"]
    load: str
    paired: bool = False
    reference: bool = True

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def value(self, score: float) -> str:
        """A score with its decimals and unit."""
        return f"{score:.{self.digits}f} {self.unit}".rstrip()


METRICS = {
    "psnr-y": Metric(
        label="PSNR-Y",
        unit="dB",
        digits=3,
        range=(0, 100),
        best="high",
        load="psnr-y",
    ),
    "ssim-y": Metric(
        label="SSIM-Y",
        digits=4,
        range=(-1, 1),
        best="high",
        load="ssim-y",
    ),
    "psnr-rgb": Metric(
        label="PSNR-RGB",
        unit="dB",
        digits=3,
        range=(0, 100),
        best="high",
        load="psnr-rgb",
    ),
    "ssim-rgb": Metric(
        label="SSIM-RGB",
        digits=4,
        range=(-1, 1),
        best="high",
        load="ssim-rgb",
    ),
    "lpips": Metric(label="LPIPS-alex", digits=4, range=(0, 10), best="low", load="lpips"),
    "lpips-vgg": Metric(label="LPIPS-vgg", digits=4, range=(0, 10), best="low", load="lpips-vgg"),
    "dists": Metric(label="DISTS", digits=4, range=(0, 2), best="low", load="dists"),
    "niqe": Metric(label="NIQE", digits=3, range=(0, 1e4), best="low", load="niqe", reference=False),
    "vmaf": Metric(label="VMAF", digits=3, range=(0, 100), best="high", load="vmaf"),
    "tof": Metric(label="tOF", unit="pixels", digits=4, range=(0, 1e4), best="low", load="tof", paired=True),
    "tlp": Metric(label="tLP", unit="x 100", digits=4, range=(0, 1e3), best="low", load="tlp", paired=True),
    "warping": Metric(
        label="warping error",
        unit="x 1000",
        digits=4,
        range=(0, 1e4),
        best="truth",
        load="warping",
        paired=True,
    ),
    "warping-truth": Metric(
        label="warping error of the truth",
        unit="x 1000",
        digits=4,
        range=(0, 1e4),
        best="truth",
        load="warping",
        paired=True,
    ),
}
"""By name."""


def measured_with(name: str) -> tuple[str, ...]:
    """The metrics that are measured together with one, itself among them."""
    return tuple(other for other, metric in METRICS.items() if metric.load == METRICS[name].load)


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
