"""SCAFFOLD's server: the mean of the models, and a control variate that follows the mean of the gradients."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Unpack

import numpy as np
from flwr.app import ArrayRecord

from fedvsr_core.errors import AggregationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays, completed
from server_app.aggregation.blockwise import weighted_mean
from server_app.strategies.aggregator import Combined
from server_app.strategies.base import RoundStrategy, StrategyOptions
from server_app.updates import Update


class Scaffold(RoundStrategy):
    """Moves the model by the mean update, and the variate ``c`` by ``|S| / N`` of the mean change of theirs.

    Clients count the same, as in the paper. The variate starts at zero and stays the sum of all clients'
    variates over N, since clients recall only variates whose change has arrived here. When N grows, the
    variate shrinks as much, for the variates of newcomers are zero.

    Args:
        step_size: Of the server, eta_g, > 0; 1 makes the model the mean of what clients return.
        num_clients: N; None for the most that took part in the run so far.
        options: As `StrategyOptions`.

    Raises:
        AggregationError: If an argument is out of its range.

    Source: SCAFFOLD (Karimireddy et al., ICML 2020), algorithm 1 and equation 5.
    """

    extra = (keys.VARIATES,)

    def __init__(
        self, *, step_size: float, num_clients: int | None = None, **options: Unpack[StrategyOptions]
    ) -> None:
        super().__init__(**options)
        if step_size <= 0:
            raise AggregationError(f"step_size must be > 0, got {step_size}")
        if num_clients is not None and num_clients < 1:
            raise AggregationError(f"num_clients must be at least 1, got {num_clients}")
        self.step_size = step_size
        self.num_clients = num_clients
        self._told = num_clients is not None
        self._variate: NamedArrays = {}

    def prepare(self, *, clients: int, cohort: int) -> None:
        """Learn N, unless it was given."""
        self._grow(clients)

    def outgoing(self, server_round: int, model: ArrayRecord, clients: int) -> dict[str, ArrayRecord]:
        """The model and the variate."""
        records = super().outgoing(server_round, model, clients)
        self._grow(clients)
        self._variate = {
            name: self._variate.get(name, np.zeros_like(like)) for name, like in self._sent.items()
        }
        return {**records, keys.VARIATES: completed(self._variate, model)}

    def combine(self, server_round: int, updates: Sequence[Update]) -> Combined | None:
        """The mean of the models, eta_g of the way; the variate moves along."""
        if not updates:
            return None
        count = len(updates)
        self._grow(count)
        changes = [update.extra[keys.VARIATES].arrays for update in updates]
        of = max(self.num_clients or 0, count)
        moves = weighted_mean(changes, [1 / of] * count, self._sent)  # |S| / N times their mean
        self._variate = self._variate | {
            name: np.asarray(self._variate[name] + move) if name in self._variate else move
            for name, move in moves
        }
        return Combined(self._moved(updates), {update.client: 1 / count for update in updates})

    def state(self) -> dict[str, np.ndarray]:
        """The variate, and N."""
        known = {} if self.num_clients is None else {keys.NUM_CLIENTS: np.asarray(self.num_clients)}
        return self._variate | known

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back the variate, and N if it isn't given; earlier versions kept none."""
        seen = self.num_clients or 0
        self._variate = {name: array for name, array in state.items() if name != keys.NUM_CLIENTS}
        if keys.NUM_CLIENTS in state and not self._told:
            self.num_clients = int(state[keys.NUM_CLIENTS])
            self._grow(seen)

    def _grow(self, clients: int) -> None:
        """Let N be at least that many, unless it was given; the variate stays the mean of the clients'."""
        if self._told or clients <= (self.num_clients or 0):
            return
        if self.num_clients is not None:
            share = self.num_clients / clients
            self._variate = {name: np.asarray(array * share) for name, array in self._variate.items()}
        self.num_clients = clients

    def _moved(self, updates: Sequence[Update]) -> Iterator[tuple[str, np.ndarray]]:
        shares = [1 / len(updates)] * len(updates)
        for name, mean in weighted_mean([update.arrays for update in updates], shares, self._sent):
            before = self._sent[name]
            yield name, mean if self.step_size == 1 else before + self.step_size * (mean - before)
