"""Federated averaging: each client counts as much as its training examples."""

from fedvsr_core.errors import AggregationError
from fedvsr_core.flower import keys
from server_app.strategies.base import Update
from server_app.strategies.weighted_mean import WeightedMean

MOST_EXAMPLES = 2**30


class FedAvg(WeightedMean):
    """Average weighted by the number of examples.

    Source: McMahan et al., AISTATS 2017, algorithm 1.
    """

    usual_factor = 128.0

    def factor(self, update: Update) -> float:
        """The number of examples."""
        examples = update.numbers.get(keys.NUM_EXAMPLES)
        if examples is None or not 0 < examples < MOST_EXAMPLES:
            raise AggregationError(
                f"its '{keys.NUM_EXAMPLES}' must be > 0 and below {MOST_EXAMPLES}, got {examples}"
            )
        return examples
