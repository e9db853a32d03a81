"""Weighted means of the updates: with a share of the extreme values cut off, and clients a step ahead."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Unpack

import numpy as np
from flwr.app import Array, ArrayRecord

from fedvsr_core.aggregation.weights import Mixed
from fedvsr_core.errors import AggregationError
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.secure.scalars import SHARES, Sums
from server_app.aggregation.blockwise import trimmed_mean, weighted_mean
from server_app.strategies.aggregator import Combined
from server_app.strategies.base import RoundStrategy, StrategyOptions
from server_app.updates import Update, floating

_BEFORE = "before/"


class Mean(RoundStrategy):
    """Makes a mean of the updates the new model; subclasses say how much each counts.

    With ``trim``, the mean is taken for each parameter by itself, without the clients whose values there are
    the smallest and the largest; the others keep the ratio of their weights. So whatever a minority sends
    stays within what others send, parameter by parameter.

    With ``momentum``, clients of a round start from ``W + momentum * (W - W')``, where W is the model and W'
    the model before the last round that changed it. What they return is averaged as ever, and the mean is the
    new W: it is what is scored, saved and published. A round without enough replies changes neither W nor W',
    so the next one sends the same step ahead. Arrays that travel for the first time have no step. Clients
    keep nothing, and no more bytes travel; the server keeps W'.

    Args:
        momentum: In [0, 1); 0 sends the model itself.
        trim: The share of the clients to leave out at each end, in [0, 0.5); rounded up while someone is
            left. 0 leaves out nobody.
        options: As `StrategyOptions`.

    Raises:
        AggregationError: If an argument is out of its range.

    Source: Nesterov's accelerated gradient, with what a round learned as the gradient: the outer step of
    DiLoCo (arXiv 2311.08105) with step size 1, and of SNOO (arXiv 2510.15830). Trimming: Yin et al., ICML
    2018, algorithm 1 (option II).
    """

    def __init__(
        self, *, momentum: float = 0.0, trim: float = 0.0, **options: Unpack[StrategyOptions]
    ) -> None:
        super().__init__(**options)
        if not 0 <= momentum < 1:
            raise AggregationError(f"momentum must be in [0, 1), got {momentum}")
        if not 0 <= trim < 0.5:
            raise AggregationError(f"trim must be in [0, 0.5), got {trim}")
        self.momentum = momentum
        self.trim = trim
        self._now: NamedArrays = {}
        self._before: NamedArrays = {}

    def mixed(self, sums: Sums) -> Mixed:
        """What each client counts by its share, from sums over the clients; in proportion to it.

        Raises:
            AggregationError: If the shares have no sum.
        """
        if (total := sums.by_name[SHARES]) <= 0:
            raise AggregationError(f"the sum of the clients' shares must be > 0, got {float(total):g}")
        return Mixed(base=0.0, per_share=float(1 / total), mixing=1.0, hellinger=math.nan)

    def moved(self) -> None:
        """The model that was sent has been followed by another one, of a secure sum."""
        self._before = self._now

    @abstractmethod
    def weights(self, server_round: int, updates: Sequence[Update]) -> list[float]:
        """What each update counts, > 0; they sum to one."""

    def outgoing(self, server_round: int, model: ArrayRecord, clients: int) -> dict[str, ArrayRecord]:
        """The model, a step ahead."""
        if self.momentum:
            self._now = floating(model)
            model = ArrayRecord({**model, **{name: Array(array) for name, array in self._ahead()}})
        return super().outgoing(server_round, model, clients)

    def combine(self, server_round: int, updates: Sequence[Update]) -> Combined | None:
        """The mean of the updates; the model that it follows becomes the one before."""
        if not updates:
            return None
        weights = self.weights(server_round, updates)
        arrays = [update.arrays for update in updates]
        if cut := min(math.ceil(self.trim * len(updates) - 1e-9), (len(updates) - 1) // 2):
            mean = trimmed_mean(arrays, weights, self._sent, cut=cut)
        else:
            mean = weighted_mean(arrays, weights, self._sent)
        self.moved()
        clients = (update.client for update in updates)
        return Combined(mean, dict(zip(clients, weights, strict=True)))

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
