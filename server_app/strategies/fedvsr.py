"""FedVSR's aggregation: clients with a small loss count more, early in training and where losses differ."""

import math
from collections.abc import Sequence
from typing import Unpack

from fedvsr_core.aggregation.weights import Mixed, loss_aware, loss_aware_of_sums
from fedvsr_core.errors import AggregationError
from fedvsr_core.secure.scalars import ROOTS, SHARES, Sums
from fedvsr_core.secure.share import Share
from server_app.strategies.base import StrategyOptions
from server_app.strategies.mean import Mean
from server_app.updates import Update


class FedVSR(Mean):
    """Average weighted by `loss_aware`.

    Without momentum, nothing is kept between rounds.

    Args:
        num_rounds: Rounds of the whole run, T. The loss counts less from round to round, and not in the last.
        threshold: Hellinger distance below which all clients count the same, in [0, 1); the paper's is 0.05.
        guard: Largest weight in units of the uniform one, >= 1, or None for the paper's formula.
        momentum: As `Mean`; the paper has none.
        trim: As `Mean`; the paper trims nothing.
        options: As `StrategyOptions`.

    Raises:
        AggregationError: If an argument is out of its range.

    Source: FedVSR (MMSys 2026). A client whose loss isn't finite and > 0, which the paper doesn't treat, is
    left out of the round.
    """

    needs_loss = True

    def __init__(
        self,
        *,
        num_rounds: int,
        threshold: float = 0.05,
        guard: float | None = 1.5,
        momentum: float = 0.0,
        trim: float = 0.0,
        **options: Unpack[StrategyOptions],
    ) -> None:
        super().__init__(momentum=momentum, trim=trim, **options)
        if num_rounds < 1:
            raise AggregationError(f"num_rounds must be at least 1, got {num_rounds}")
        loss_aware([1.0], progress=1.0, threshold=threshold, guard=guard)  # refuses what is out of range
        self.num_rounds = num_rounds
        self.threshold = threshold
        self.guard = guard

    def share(self, server_round: int) -> Share:
        """A power of the loss that falls from round to round."""
        return Share(by="loss", exponent=1 - self._progress(server_round), guard=self.guard or math.inf)

    def mixed(self, sums: Sums) -> Mixed:
        """As `weights`, from sums alone."""
        decided = loss_aware_of_sums(
            sums.clients,
            sums.by_name[SHARES],
            sums.by_name[ROOTS],
            threshold=self.threshold,
            guard=self.guard or math.inf,
        )
        self.diagnostics["hellinger"] = decided.hellinger
        self.diagnostics["mixing"] = decided.mixing
        return decided

    def _progress(self, server_round: int) -> float:
        return min(server_round / self.num_rounds, 1.0)

    def weights(self, server_round: int, updates: Sequence[Update]) -> list[float]:
        """By loss; how they came about becomes the round's diagnostics."""
        decided = loss_aware(
            [update.bounded_loss for update in updates],
            progress=self._progress(server_round),
            threshold=self.threshold,
            guard=self.guard,
        )
        self.diagnostics["hellinger"] = decided.hellinger
        self.diagnostics["mixing"] = decided.mixing
        self.diagnostics["guarded"] = sorted(updates[position].client for position in decided.guarded)
        return list(decided.weights.tolist())
