"""A mean whose weights differ from layer to layer: what points where the global layer does counts more."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from server_app.aggregation.blockwise import weighted_mean
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

    def combine(self, server_round: int, updates: Sequence[Update]) -> Combined | None:
        """Each array by its own weights."""
        if not updates:
            return None
        by_array = {
            name: _shares([_cosine(update.arrays[name], like) for update in updates])
            for name, like in self._sent.items()
        }
        weights = {
            update.client: math.fsum(shares[number] for shares in by_array.values()) / len(by_array)
            for number, update in enumerate(updates)
        }
        return Combined(self._means(updates, by_array), weights)

    def _means(
        self, updates: Sequence[Update], by_array: dict[str, list[float]]
    ) -> Iterator[tuple[str, np.ndarray]]:
        for name, shares in by_array.items():
            arrays = [update.arrays for update in updates]
            yield from weighted_mean(arrays, shares, {name: self._sent[name]})


def _shares(similarities: Sequence[float]) -> list[float]:
    """Made to sum to one; equal where all are zero."""
    total = math.fsum(similarities)
    return [similar / total if total else 1 / len(similarities) for similar in similarities]


def _cosine(array: np.ndarray, other: np.ndarray) -> float:
    """The cosine of the angle between two arrays, 0 where it is negative or one of them is zero."""
    first, second = array.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    norms = math.sqrt(float(np.dot(first, first)) * float(np.dot(second, second)))
    return max(float(np.dot(first, second)) / norms, 0.0) if norms else 0.0
