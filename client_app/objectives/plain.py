"""Minimise the loss on the site's own clips, and nothing else."""

from fedvsr_core.training.objective import Objective


class Plain(Objective):
    """The client half of federated averaging and of every method that differs on the server only."""
