"""Minimise the loss plus a pull towards the global model."""

import torch
from torch import Tensor, nn

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.training.objective import Objective, Start


class Proximal(Objective):
    """Adds ``mu / 2 * ||w - w_global||^2`` to what a client minimises.

    Its gradient, ``mu * (w - w_global)``, is added to that of the loss before the optimiser's step, so that
    every optimiser sees it. The reported loss is that of the configuration alone.

    Args:
        mu: Strength of the pull, >= 0; 0 is federated averaging.

    Raises:
        ConfigurationError: If ``mu`` is negative.

    Source: FedProx (Li et al., MLSys 2020), equation 2.
    """

    def __init__(self, *, mu: float) -> None:
        if mu < 0:
            raise ConfigurationError(f"mu must be >= 0, got {mu}")
        self.mu = mu
        self._global: dict[str, Tensor] = {}

    def begin(self, model: nn.Module, start: Start) -> None:
        """Remember where training starts."""
        self._global = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    @torch.no_grad()
    def adjust(self, model: nn.Module) -> None:
        """Add the pull to the gradients."""
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                parameter.grad.add_(parameter - self._global[name], alpha=self.mu)
