"""A mean of the updates, and clients that start a step ahead of it: Nesterov's momentum on the server."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Unpack

import numpy as np
from flwr.app import Array, ArrayRecord

from fedvsr_core.errors import AggregationError
from fedvsr_core.flower.arrays import NamedArrays
from server_app.strategies.aggregator import Combined
from server_app.strategies.base import RoundStrategy, StrategyOptions
from server_app.updates import Update, floating

_BEFORE = "before/"


class Mean(RoundStrategy):
    """Makes the mean of the updates the new model; with momentum, clients start ahead of it.

    Clients of a round start from ``W + momentum * (W - W')``, where W is the model and W' the model before
    the last round that changed it. What they return is averaged as ever, and the mean is the new W: it is
    what is scored, saved and published. A round without enough replies changes neither W nor W', so the next
    one sends the same step ahead. Arrays that travel for the first time have no step. Clients keep nothing,
    and no more bytes travel; the server keeps W'.

    Args:
        momentum: In [0, 1); 0 sends the model itself.
        options: As `StrategyOptions`.

    Raises:
        AggregationError: If the momentum is out of its range.

    Source: Nesterov's accelerated gradient, with what a round learned as the gradient: the outer step of
    DiLoCo (arXiv 2311.08105) with step size 1, and of SNOO (arXiv 2510.15830).
    """

    def __init__(self, *, momentum: float = 0.0, **options: Unpack[StrategyOptions]) -> None:
        super().__init__(**options)
        if not 0 <= momentum < 1:
            raise AggregationError(f"momentum must be in [0, 1), got {momentum}")
        self.momentum = momentum
        self._now: NamedArrays = {}
        self._before: NamedArrays = {}

    @abstractmethod
    def mean(self, server_round: int, updates: Iterator[Update]) -> Combined | None:
        """The mean of the updates, as `Aggregator.combine`."""

    def outgoing(self, server_round: int, model: ArrayRecord, clients: int) -> dict[str, ArrayRecord]:
        """The model, a step ahead."""
        if self.momentum:
            self._now = floating(model)
            model = ArrayRecord({**model, **{name: Array(array) for name, array in self._ahead()}})
        return super().outgoing(server_round, model, clients)

    def combine(self, server_round: int, updates: Iterator[Update]) -> Combined | None:
        """The mean of the updates; the model that it follows becomes the one before."""
        combined = self.mean(server_round, updates)
        if combined is not None:
            self._before = self._now
        return combined

    def state(self) -> dict[str, np.ndarray]:
        """The model before the last round that changed it; nothing without momentum."""
        return {_BEFORE + name: array for name, array in self._before.items()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back the model before."""
        if not self.momentum:
            super().load_state(state)
        self._before = {name.removeprefix(_BEFORE): array for name, array in state.items()}

    def _ahead(self) -> Iterator[tuple[str, np.ndarray]]:
        for name, now in self._now.items():
            if name in self._before:
                yield name, np.asarray(now + self.momentum * (now - self._before[name]), now.dtype)
