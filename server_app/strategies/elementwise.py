"""Strategies that look at the clients' values element by element."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from server_app.aggregation.blockwise import combined
from server_app.strategies.aggregator import Combined
from server_app.strategies.base import RoundStrategy
from server_app.updates import Update


class Elementwise(RoundStrategy):
    """Combines the updates a block of values at a time.

    No client has a weight of its own; the journal shows equal ones.
    """

    @abstractmethod
    def element(self, values: np.ndarray, before: np.ndarray) -> np.ndarray:
        """The new values of some parameters.

        Args:
            values: Those of the clients, (clients, values), float64.
            before: Those of the global model, (values,), float64.
        """

    def combine(self, server_round: int, updates: Sequence[Update]) -> Combined | None:
        """Every element by itself."""
        if not updates:
            return None
        arrays = combined(
            [update.arrays for update in updates],
            self._sent,
            lambda values, before: self.element(values.astype(np.float64), before.astype(np.float64)),
        )
        return Combined(arrays, {update.client: 1 / len(updates) for update in updates})


class FedMedian(Elementwise):
    """The median of the clients' values; of an even number, the mean of the middle two.

    Source: Yin et al., ICML 2018, algorithm 1 (option I), on weights in the place of gradients.
    """

    def element(self, values: np.ndarray, before: np.ndarray) -> np.ndarray:
        """The median."""
        return np.asarray(np.median(values, axis=0))


class MinMax(Elementwise):
    """The middle between the smallest and the largest of the clients' values.

    Source: a trial aggregator that FedVSR (MMSys 2026) names and doesn't define; this is our reading.
    """

    def element(self, values: np.ndarray, before: np.ndarray) -> np.ndarray:
        """The mid-range."""
        return np.asarray((values.min(axis=0) + values.max(axis=0)) / 2)


class MaxDifference(Elementwise):
    """Of the clients' values, the one that is furthest from the global model's; the larger of equals.

    Source: a trial aggregator that FedVSR (MMSys 2026) names and doesn't define; this is our reading.
    """

    def element(self, values: np.ndarray, before: np.ndarray) -> np.ndarray:
        """The smallest or the largest value: one of them is the furthest."""
        low, high = values.min(axis=0), values.max(axis=0)
        return np.asarray(np.where(before - low > high - before, low, high))


class MinDifference(Elementwise):
    """Of the clients' values, the one that is nearest to the global model's; the larger of equals.

    Source: a trial aggregator that FedVSR (MMSys 2026) names and doesn't define; this is our reading.
    """

    def element(self, values: np.ndarray, before: np.ndarray) -> np.ndarray:
        """The nearest value."""
        ordered = np.sort(values, axis=0)[::-1]
        nearest = np.argmin(np.abs(ordered - before), axis=0)
        return np.asarray(np.take_along_axis(ordered, nearest[None], axis=0)[0])
