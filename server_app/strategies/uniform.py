"""The plain mean: all clients count the same."""

from fedvsr_core.secure.share import Share
from server_app.strategies.weighted_mean import WeightedMean
from server_app.updates import Update


class Uniform(WeightedMean):
    """Average without weights, whatever the number of examples and the loss.

    Source: FedVSR (MMSys 2026), the ablation that has the high-frequency loss only.
    """

    def share(self, server_round: int) -> Share:
        """One."""
        return Share(by="one")

    def factor(self, update: Update) -> float:
        """One."""
        return 1.0
