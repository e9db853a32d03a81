"""FedVSR's aggregation: clients with a small loss count more, early in training and where losses differ."""

import math
from collections.abc import Iterator

from fedvsr_core.aggregation.running_sum import RunningSums
from fedvsr_core.aggregation.weights import loss_aware
from fedvsr_core.errors import AggregationError
from fedvsr_core.flower import keys
from server_app.strategies.base import Combined, RoundStrategy, Update

LOSSES = (2.0**-30, 2.0**30)
"""Losses outside count as the nearest of these, 1e-9 and 1e9."""

_USUAL_POWER = 16.0  # of a loss of 0.06 in the first round


class FedVSR(RoundStrategy):
    """Average weighted by `loss_aware`, whose mixing share shrinks from round to round.

    A weight is ``a + b * power(loss)`` with the same a and b for all clients, so two running sums are enough: of the
    updates, and of the updates times the power of their loss. The weights are decided after the last reply, and the
    memory that a round takes doesn't grow with the number of clients. Nothing is kept between rounds.

    Args:
        num_rounds: Rounds of the whole run; in the last one all clients count the same.
        threshold: Hellinger distance below which weights are uniform; the paper's is 0.05.
        guard: Largest weight in units of the uniform one, or None for the paper's formula.
        adaptive: False for the paper's ablation: weights by ``1 / loss`` in every round, without mixing.

    Raises:
        AggregationError: If an argument is out of its range.

    Source: FedVSR (MMSys 2026). A loss that isn't finite and > 0, which the paper doesn't treat, is left out.
    """

    def __init__(
        self, *, num_rounds: int, threshold: float = 0.05, guard: float | None = 1.5, adaptive: bool = True
    ) -> None:
        super().__init__()
        if num_rounds < 1:
            raise AggregationError(f"num_rounds must be at least 1, got {num_rounds}")
        loss_aware([1.0], progress=1.0, threshold=threshold, guard=guard)  # refuses what is out of range
        self.num_rounds = num_rounds
        self.threshold = threshold
        self.guard = guard
        self.adaptive = adaptive

    def combine(self, server_round: int, updates: Iterator[Update]) -> Combined | None:
        """Fold each update into two sums; decide the weights after the last."""
        progress = min(server_round / self.num_rounds, 1.0)
        sums = RunningSums((1.0, _USUAL_POWER))
        losses: dict[int, float] = {}
        powers: dict[int, float] = {}
        for update in updates:
            loss = update.numbers.get(keys.LOSS)
            if loss is None or loss <= 0:
                self.leave_out(update.node, f"its loss must be a finite number > 0, got {loss}")
                continue
            losses[update.node] = min(max(loss, LOSSES[0]), LOSSES[1])
            powers[update.node] = losses[update.node] ** (progress - 1)
            sums.add(update.arrays, (1.0, powers[update.node]))
            del update
        if not losses:
            return None
        decided = loss_aware(list(losses.values()), progress=progress, threshold=self.threshold, guard=self.guard)
        nodes = list(losses)
        self.diagnostics["hellinger"] = decided.hellinger
        self.diagnostics["mixing"] = decided.mixing
        self.diagnostics["guarded"] = sorted(str(nodes[position]) for position in decided.guarded)
        even, slope = (1 - decided.mixing) / len(nodes), decided.mixing / math.fsum(powers.values())
        return Combined(sums.combine((even, slope)), dict(zip(nodes, decided.weights.tolist(), strict=True)))
