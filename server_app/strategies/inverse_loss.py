"""Loss-aware aggregation that doesn't adapt: each client counts in proportion to one over its loss."""

from fedvsr_core.secure.share import Share
from server_app.strategies.weighted_mean import WeightedMean
from server_app.updates import Update


class InverseLoss(WeightedMean):
    """Average weighted by ``1 / loss``, in every round alike, without mixing and without a guard.

    Source: FedVSR (MMSys 2026), the ablation that isn't adaptive.
    """

    needs_loss = True

    def share(self, server_round: int) -> Share:
        """One over the loss."""
        return Share(by="loss", exponent=1.0)

    def factor(self, update: Update) -> float:
        """One over the loss."""
        return 1 / update.bounded_loss
