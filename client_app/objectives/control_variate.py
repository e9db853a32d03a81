"""Minimise the loss with gradients that are corrected for how this client differs from all."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from fedvsr_core.data.loaders import to_float
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.training.objective import Objective, Start


class ControlVariate(Objective):
    """Adds ``c - c_i`` to every gradient: the variate of the server less this client's own.

    Both have the unit of a gradient and start at zero. After the round the client's becomes, by ``option``:

    1. the mean gradient of the round's batches at the global model, which costs a second pass;
    2. the mean of the uncorrected gradients that training met on its way. For plain gradient descent with
       step size eta this *is* the paper's option II, ``c_i - c + (x - y_i) / (K eta)``, since
       ``x - y_i = eta * sum(g_k - c_i + c)``.

    With another optimiser, such as Adam, ``(x - y_i) / (K eta)`` isn't a gradient at all; the mean gradient
    still is. So it's the gradient that is corrected, before the optimiser sees it, and not the step: Adam's
    moments are those of corrected gradients. The paper's theorems are about plain gradient descent
    (``optimiser=sgd``). A limit on the gradient's norm (``training.clip_norm``) acts after the correction.

    Args:
        option: 1 or 2.

    Source: SCAFFOLD (Karimireddy et al., ICML 2020), algorithm 1 and equation 4.
    """

    _start: Start

    def __init__(self, *, option: Literal[1, 2]) -> None:
        self.option = option
        self._own: dict[str, Tensor] = {}
        self._correction: dict[str, Tensor] = {}
        self._sum: dict[str, Tensor] = {}
        self._count = 0

    def begin(self, model: nn.Module, start: Start) -> None:
        """Take both variates; with option 1, go over the batches."""
        trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        own, servers = start.client_state.recall(), start.arrays.get(keys.VARIATES, {})
        self._start, self._count = start, 0
        self._own = {name: _tensor_like(own.get(name), parameter) for name, parameter in trained.items()}
        self._correction = {
            name: _tensor_like(servers.get(name), parameter) - self._own[name]
            for name, parameter in trained.items()
        }
        self._sum = {name: torch.zeros_like(parameter) for name, parameter in trained.items()}
        if self.option == 1:
            for low, high in start.batches:
                model.zero_grad(set_to_none=True)
                start.loss(model(to_float(low, start.device)), to_float(high, start.device))[0].backward()
                self._observe(model)
            model.zero_grad(set_to_none=True)

    @torch.no_grad()
    def adjust(self, model: nn.Module) -> None:
        """Correct the gradients."""
        if self.option == 2:
            self._observe(model)
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                parameter.grad.add_(self._correction[name])

    def end(self, model: nn.Module) -> Mapping[str, NamedArrays]:
        """Keep the new variate, and return its change."""
        new = {name: total / max(self._count, 1) for name, total in self._sum.items()}
        self._start.client_state.keep(
            self._start.server_round, {name: variate.cpu().numpy() for name, variate in new.items()}
        )
        change = {name: variate - self._own[name] for name, variate in new.items()}
        return {keys.VARIATES: {name: difference.cpu().numpy() for name, difference in change.items()}}

    @torch.no_grad()
    def _observe(self, model: nn.Module) -> None:
        self._count += 1
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                self._sum[name] += parameter.grad


def _tensor_like(array: object, parameter: Tensor) -> Tensor:
    """An array as a tensor of a parameter's dtype and device; zeros where there is none."""
    return torch.zeros_like(parameter) if array is None else torch.tensor(array).to(parameter)
