"""Means over seeds, with how far they may be trusted."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom; the last is for all beyond."""


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds.

    Attributes:
        mean: The mean.
        deviation: Sample standard deviation; NaN for one seed.
        count: Number of seeds.
    """

    mean: float
    deviation: float
    count: int

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval of Student's t; infinite for one seed."""
        if self.count < 2:
            return math.inf
        return _T95[min(self.count - 1, len(_T95)) - 1] * self.deviation / math.sqrt(self.count)

    @property
    def certain(self) -> bool:
        """Whether 0 lies outside the 95 % interval."""
        return abs(self.mean) > self.half_width

    def interval(self, digits: int) -> str:
        """Such as ``+0.123 [+0.100, +0.146]``, the 95 % interval in brackets; without it for one seed."""
        text = f"{self.mean:+.{digits}f}"
        if self.count < 2:
            return text
        low, high = self.mean - self.half_width, self.mean + self.half_width
        return f"{text} [{low:+.{digits}f}, {high:+.{digits}f}]"

    def text(self, digits: int) -> str:
        """Such as ``28.123 ± 0.045``, the standard deviation."""
        deviation = "" if math.isnan(self.deviation) else f" ± {self.deviation:.{digits}f}"
        return f"{self.mean:.{digits}f}{deviation}"


def seed_mean(values: Sequence[float]) -> SeedMean:
    """Mean and sample standard deviation of at least one value."""
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return SeedMean(statistics.fmean(values), deviation, len(values))


def difference(values: Mapping[int, float], reference: Mapping[int, float]) -> SeedMean | None:
    """The difference to a reference, paired by seed; None if no seed has both."""
    pairs = [values[seed] - reference[seed] for seed in sorted(values.keys() & reference.keys())]
    return seed_mean(pairs) if pairs else None


def best(scores: Mapping[str, Mapping[int, float]], *, higher: bool) -> str | None:
    """Who is better than every other by a difference whose 95 % interval leaves out 0; None if nobody is.

    Args:
        scores: By strategy, by seed.
        higher: Whether higher is better.
    """
    if len(scores) < 2:
        return None
    sign = 1 if higher else -1
    for name, values in scores.items():
        gains = [difference(values, others) for other, others in scores.items() if other != name]
        if all(gain is not None and gain.certain and sign * gain.mean > 0 for gain in gains):
            return name
    return None
