"""Minimise the loss on the site's own clips, and nothing else."""

from torch import nn


class Plain:
    """The client half of federated averaging and of every method that differs on the server only."""

    def adjust(self, model: nn.Module) -> None:
        """Leave the gradients as they are."""
