"""Minimise the loss on the site's own clips, and nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from client_app.client_state import ClientState
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.training.local import LossFunction


@dataclass(frozen=True)
class Start:
    """What an objective gets when a round begins.

    Attributes:
        server_round: From 1.
        arrays: The arrays that the server sent in addition to the model, by the name of their record.
        client_state: What this client keeps between rounds.
        batches: The round's batches, uint8 or float; iterating again gives the same ones.
        loss: The loss of the configuration.
        device: Where the model is.
        seed: The run's, the same for all clients and rounds.
    """

    server_round: int
    arrays: Mapping[str, NamedArrays]
    client_state: ClientState
    batches: Iterable[tuple[Tensor, Tensor]]
    loss: LossFunction
    device: torch.device
    seed: int


class Plain:
    """The client half of federated averaging and of every method that differs on the server only.

    Also the base of the others, which change some of the steps of a round.
    """

    def begin(self, model: nn.Module, start: Start) -> None:
        """Prepare for a round; the model has the global weights."""

    def parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that are trained in addition to the model's; none."""
        return ()

    def loss(self, loss: LossFunction) -> LossFunction:
        """The loss to minimise, from that of the configuration; the same."""
        return loss

    def adjust(self, model: nn.Module) -> None:
        """Leave the gradients as they are."""

    def end(self, model: nn.Module) -> Mapping[str, NamedArrays]:
        """Arrays that are returned in addition to the trained model, by the name of their record; none."""
        return {}
