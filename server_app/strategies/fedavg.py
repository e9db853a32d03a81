"""Federated averaging: each client counts as much as its training examples."""

from fedvsr_core.secure.share import Share
from server_app.strategies.weighted_mean import WeightedMean
from server_app.updates import Update


class FedAvg(WeightedMean):
    """Average weighted by the number of examples.

    Source: McMahan et al., AISTATS 2017, algorithm 1.
    """

    needs_examples = True

    def share(self, server_round: int) -> Share:
        """The number of examples."""
        return Share(by="examples")

    def factor(self, update: Update) -> float:
        """The number of examples."""
        return update.examples
