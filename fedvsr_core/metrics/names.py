"""The metrics that can be asked for, and how their numbers are read."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedvsr_core.components import nearest
from fedvsr_core.errors import ConfigurationError


@dataclass(frozen=True)
class About:
    """How to print a metric.

    Attributes:
        label: What people call it.
        unit: Of its numbers; empty for those that have none.
        digits: Decimals.
        best: Which end is better: ``high``, ``low``, or ``truth`` where the ground truth's own value is.
    """

    label: str
    unit: str
    digits: int
    best: str

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def value(self, score: float) -> str:
        """A score with its decimals and unit."""
        return f"{score:.{self.digits}f} {self.unit}".rstrip()


METRICS = {
    "psnr-y": About("PSNR-Y", "dB", 3, "high"),
    "ssim-y": About("SSIM-Y", "", 4, "high"),
    "psnr-rgb": About("PSNR-RGB", "dB", 3, "high"),
    "ssim-rgb": About("SSIM-RGB", "", 4, "high"),
    "lpips": About("LPIPS-alex", "", 4, "low"),
    "lpips-vgg": About("LPIPS-vgg", "", 4, "low"),
    "vmaf": About("VMAF", "", 3, "high"),
    "tof": About("tOF", "pixels", 4, "low"),
    "tlp": About("tLP", "x 100", 4, "low"),
    "warping": About("warping error", "x 1000", 4, "truth"),
    "warping-truth": About("warping error of the truth", "x 1000", 4, "truth"),
}
"""By name. ``warping-truth`` comes with ``warping``; those of two frames have one value less than frames."""

WARPING = ("warping", "warping-truth")
PAIRED = ("tof", "tlp", *WARPING)
"""Metrics of a frame and the next one."""


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
