"""Means that can be merged: of frames to clips, of clips to datasets, of clients to a federation."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedvsr_core.metrics.per_frame import Scores


@dataclass(frozen=True)
class Mean:
    """A sum that knows how much it holds. Adding means is adding their sums, in any order.

    Identical frames have an infinite PSNR, and flows of which nothing is visible no warping error: what isn't
    finite is left out and counted.

    Attributes:
        total: Sum of the finite values.
        count: How many there are.
        left_out: How many weren't finite.
        infinite: How many of those were +inf.
    """

    total: float = 0.0
    count: int = 0
    left_out: int = 0
    infinite: int = 0

    @classmethod
    def of(cls, values: Iterable[float] | Scores) -> "Mean":
        """The mean of some values."""
        array = np.asarray(list(values), np.float64)
        finite = array[np.isfinite(array)]
        infinite = int(np.isposinf(array).sum())
        return cls(math.fsum(finite), finite.size, array.size - finite.size, infinite)

    def __add__(self, other: "Mean") -> "Mean":
        return Mean(
            self.total + other.total,
            self.count + other.count,
            self.left_out + other.left_out,
            self.infinite + other.infinite,
        )

    @property
    def value(self) -> float:
        """The mean; infinity if all that was averaged is, NaN of nothing."""
        if self.count:
            return self.total / self.count
        return math.inf if self.infinite else math.nan


def summed(means: Iterable[Mean]) -> Mean:
    """The mean of all that these are means of."""
    return sum(means, Mean())


def dataset_means(clips: Iterable[Mapping[str, Scores]], averaging: str) -> dict[str, Mean]:
    """Each metric's mean over clips.

    Args:
        clips: Values of each clip by metric.
        averaging: ``clips`` or ``frames``, as in `fedvsr_core.metrics.protocol.Protocol`.
    """
    means: dict[str, Mean] = {}
    for clip in clips:
        for name, values in clip.items():
            mean = Mean.of(values)
            if averaging == "clips":
                mean = Mean.of([mean.value])
            means[name] = means.get(name, Mean()) + mean
    return means


def plain(means: Mapping[str, Mean]) -> dict[str, Any]:
    """The values by name, and under ``left-out`` how many weren't finite, where there were any."""
    left_out = {name: mean.left_out for name, mean in means.items() if mean.left_out}
    values: dict[str, Any] = {name: mean.value for name, mean in means.items()}
    return {**values, "left-out": left_out} if left_out else values
