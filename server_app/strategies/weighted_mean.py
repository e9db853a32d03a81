"""A mean whose weights are in proportion to a factor that each report gives by itself."""

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import Unpack

from server_app.aggregation.running_sum import MOST_TERMS, RunningSums
from server_app.strategies.aggregator import Combined
from server_app.strategies.base import StrategyOptions
from server_app.strategies.mean import Mean
from server_app.updates import Update


class WeightedMean(Mean):
    """Folds each update into one running sum, and divides by the sum of the factors after the last.

    Args:
        momentum: As `Mean`.
        options: As `StrategyOptions`.

    Class attributes:
        usual_factor: A power of two that factors are usually near.
    """

    most_clients = MOST_TERMS
    usual_factor: float = 1.0

    def __init__(self, *, momentum: float = 0.0, **options: Unpack[StrategyOptions]) -> None:
        super().__init__(momentum=momentum, **options)
        self._sums = RunningSums((self.usual_factor,))

    @abstractmethod
    def factor(self, update: Update) -> float:
        """What the update counts, before all are made to sum to one; finite, > 0 and below 2^30."""

    def mean(self, server_round: int, updates: Iterator[Update]) -> Combined | None:
        """The mean of the updates."""
        sums = self._sums
        sums.clear()
        factors: dict[str, float] = {}
        for update in updates:
            factors[update.client] = self.factor(update)
            sums.add(update.arrays, (factors[update.client],), update.model.magnitudes)
            del update
        if not factors:
            return None
        total = math.fsum(factors.values())
        return Combined(
            sums.combine((1 / total,)), {client: factor / total for client, factor in factors.items()}
        )
