"""A mean whose weights are in proportion to a factor that each report gives by itself."""

import math
from abc import abstractmethod
from collections.abc import Sequence

from server_app.strategies.mean import Mean
from server_app.updates import Update


class WeightedMean(Mean):
    """Divides each factor by the sum of all."""

    @abstractmethod
    def factor(self, update: Update) -> float:
        """What the update counts, before all are made to sum to one; finite and > 0."""

    def weights(self, server_round: int, updates: Sequence[Update]) -> list[float]:
        """The factors over their sum."""
        factors = [self.factor(update) for update in updates]
        total = math.fsum(factors)
        return [factor / total for factor in factors]
