"""A mean whose weights differ from layer to layer: what points where the global layer does counts more."""

import math
from collections.abc import Iterator

import numpy as np

from server_app.aggregation.bounds import largest
from server_app.aggregation.running_sum import MOST_TERMS, RunningSums
from server_app.strategies.aggregator import Combined
from server_app.strategies.base import RoundStrategy
from server_app.updates import Update


class LayerSimilarity(RoundStrategy):
    """Averages each array with weights in proportion to its cosine similarity to the global model's array.

    Negative similarities count as zero; where no client has a positive one, as for an array that is zero,
    all clients count the same. The journal shows a client's mean weight over the arrays.

    Source: the server half of FedSR, as FedVSR (MMSys 2026) describes it: aggregation by layer-wise cosine
    similarity. What it leaves open - similarity to which model, and how weights follow - is our reading.
    """

    most_clients = MOST_TERMS

    def combine(self, server_round: int, updates: Iterator[Update]) -> Combined | None:
        """Fold each update into two sums: times its similarities, and plain."""
        weighted, plain = RunningSums((1.0,)), RunningSums((1.0,))
        similarities: dict[str, dict[str, float]] = {}
        for update in updates:
            similar = {name: _cosine(array, self._sent[name]) for name, array in update.arrays.items()}
            similarities[update.client] = similar
            scaled = {name: array * np.float64(similar[name]) for name, array in update.arrays.items()}
            weighted.add(scaled, (1.0,), {name: largest(array) for name, array in scaled.items()})
            plain.add(update.arrays, (1.0,), update.model.magnitudes)
            del update, scaled
        if not similarities:
            return None
        count = len(similarities)
        totals = {name: math.fsum(similar[name] for similar in similarities.values()) for name in self._sent}
        arrays = (
            (name, total / totals[name] if totals[name] else mean)
            for (name, total), (_, mean) in zip(
                weighted.combine((1.0,)), plain.combine((1 / count,)), strict=True
            )
        )
        weights = {
            client: math.fsum(
                similar[name] / totals[name] if totals[name] else 1 / count for name in self._sent
            )
            / len(self._sent)
            for client, similar in similarities.items()
        }
        return Combined(arrays, weights)


def _cosine(array: np.ndarray, other: np.ndarray) -> float:
    """The cosine of the angle between two arrays, 0 where it is negative or one of them is zero."""
    first, second = array.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    norms = math.sqrt(float(np.dot(first, first)) * float(np.dot(second, second)))
    return max(float(np.dot(first, second)) / norms, 0.0) if norms else 0.0
