"""A mean whose weights are in proportion to a factor that each report gives by itself."""

import math
from abc import abstractmethod
from collections.abc import Iterator

from fedvsr_core.errors import AggregationError
from server_app.aggregation.running_sum import MOST_TERMS, RunningSums
from server_app.strategies.base import Combined, RoundStrategy, Update


class WeightedMean(RoundStrategy):
    """Folds each update into one running sum, and divides by the sum of the factors after the last.

    Class attributes:
        usual_factor: A power of two that factors are usually near.
    """

    most_clients = MOST_TERMS
    usual_factor: float = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._sums = RunningSums((self.usual_factor,))

    @abstractmethod
    def factor(self, update: Update) -> float:
        """What the update counts, before all are made to sum to one; finite, > 0 and below 2^30.

        Raises:
            AggregationError: If its report doesn't say; it is left out then.
        """

    def combine(self, server_round: int, updates: Iterator[Update]) -> Combined | None:
        """The mean of the updates."""
        sums = self._sums
        sums.clear()
        factors: dict[int, float] = {}
        for update in updates:
            try:
                factors[update.node] = self.factor(update)
            except AggregationError as error:
                self.leave_out(update.node, error)
                continue
            sums.add(update.arrays, (factors[update.node],), update.magnitudes)
            del update
        if not factors:
            return None
        total = math.fsum(factors.values())
        return Combined(
            sums.combine((1 / total,)), {node: factor / total for node, factor in factors.items()}
        )
