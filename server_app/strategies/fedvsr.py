"""FedVSR's aggregation: clients with a small loss count more, early in training and where losses differ."""

import math
from collections.abc import Iterator
from typing import Unpack

from fedvsr_core.aggregation.weights import loss_aware
from fedvsr_core.errors import AggregationError
from server_app.aggregation.running_sum import MOST_TERMS, RunningSums
from server_app.strategies.aggregator import Combined
from server_app.strategies.base import StrategyOptions
from server_app.strategies.mean import Mean
from server_app.updates import Update

_USUAL_POWER = 16.0  # of a loss of 0.06 in the first round


class FedVSR(Mean):
    """Average weighted by `loss_aware`.

    A weight is ``a + b * power``, with a power of the client's loss and the same a and b for all. So two
    running sums are enough: of the updates, and of the updates times the power of their loss. The weights are
    decided after the last reply, and the memory that a round takes doesn't grow with the number of clients.
    Without momentum, nothing is kept between rounds.

    Args:
        num_rounds: Rounds of the whole run, T. The loss counts less from round to round, and not in the last.
        threshold: Hellinger distance below which all clients count the same, in [0, 1); the paper's is 0.05.
        guard: Largest weight in units of the uniform one, >= 1, or None for the paper's formula.
        momentum: As `Mean`; the paper has none.
        options: As `StrategyOptions`.

    Raises:
        AggregationError: If an argument is out of its range.

    Source: FedVSR (MMSys 2026). A client whose loss isn't finite and > 0, which the paper doesn't treat, is
    left out of the round.
    """

    needs_loss = True
    most_clients = MOST_TERMS

    def __init__(
        self,
        *,
        num_rounds: int,
        threshold: float = 0.05,
        guard: float | None = 1.5,
        momentum: float = 0.0,
        **options: Unpack[StrategyOptions],
    ) -> None:
        super().__init__(momentum=momentum, **options)
        if num_rounds < 1:
            raise AggregationError(f"num_rounds must be at least 1, got {num_rounds}")
        loss_aware([1.0], progress=1.0, threshold=threshold, guard=guard)  # refuses what is out of range
        self.num_rounds = num_rounds
        self.threshold = threshold
        self.guard = guard
        self._sums = RunningSums((1.0, _USUAL_POWER))

    def mean(self, server_round: int, updates: Iterator[Update]) -> Combined | None:
        """Fold each update into two sums; decide the weights after the last."""
        progress = min(server_round / self.num_rounds, 1.0)
        sums = self._sums
        sums.clear()
        losses: dict[str, float] = {}
        powers: list[float] = []
        for update in updates:
            losses[update.client] = update.bounded_loss
            powers.append(update.bounded_loss ** (progress - 1))
            sums.add(update.arrays, (1.0, powers[-1]), update.model.magnitudes)
            del update
        if not losses:
            return None
        clients = list(losses)
        decided = loss_aware(
            list(losses.values()), progress=progress, threshold=self.threshold, guard=self.guard
        )
        self.diagnostics["hellinger"] = decided.hellinger
        self.diagnostics["mixing"] = decided.mixing
        self.diagnostics["guarded"] = sorted(clients[position] for position in decided.guarded)
        plain, by_power = (1 - decided.mixing) / len(clients), decided.mixing / math.fsum(powers)
        return Combined(
            sums.combine((plain, by_power)), dict(zip(clients, decided.weights.tolist(), strict=True))
        )
