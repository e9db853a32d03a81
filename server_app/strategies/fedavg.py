"""Federated averaging: each client counts as much as its training examples."""

import math
from collections.abc import Iterator

from fedvsr_core.aggregation.running_sum import RunningSums
from fedvsr_core.aggregation.weights import by_examples
from fedvsr_core.flower import keys
from server_app.strategies.base import Combined, RoundStrategy, Update

MOST_EXAMPLES = 2**30
_USUAL_EXAMPLES = 128.0


class FedAvg(RoundStrategy):
    """Average weighted by the number of examples, in one running sum.

    Source: McMahan et al., AISTATS 2017, algorithm 1.
    """

    def combine(self, server_round: int, updates: Iterator[Update]) -> Combined | None:
        """Fold each update into the sum; divide by all examples after the last."""
        sums = RunningSums((_USUAL_EXAMPLES,))
        examples: dict[int, float] = {}
        for update in updates:
            count = update.numbers.get(keys.NUM_EXAMPLES)
            if count is None or not 0 < count < MOST_EXAMPLES:
                self.leave_out(update.node, f"its examples must number 1 to {MOST_EXAMPLES}, got {count}")
                continue
            examples[update.node] = count
            sums.add(update.arrays, (count,))
            del update
        if not examples:
            return None
        weights = by_examples(list(examples.values())).tolist()
        return Combined(
            sums.combine((1 / math.fsum(examples.values()),)), dict(zip(examples, weights, strict=True))
        )
