"""What one site minimises: the steps of a round that a federated algorithm may change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from fedvsr_core.data.loaders import Batches
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.training.local import LossFunction


class ArrayStore(Protocol):
    """What a client keeps from round to round."""

    def recall(self) -> NamedArrays:
        """What the last accepted round left; empty before there was one."""

    def keep(self, server_round: int, arrays: NamedArrays) -> None:
        """Keep arrays of a round for the next one."""


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
    client_state: ArrayStore
    batches: Batches | Sequence[tuple[Tensor, Tensor]]
    loss: LossFunction
    device: torch.device
    seed: int


class Objective:
    """Base of all client halves; each of its steps does as little as it can."""

    def begin(self, model: nn.Module, start: Start) -> None:
        """Look at the global model before it is trained."""

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
