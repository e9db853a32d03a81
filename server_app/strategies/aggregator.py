"""The server half of a federated algorithm, as the round loop uses it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import ArrayRecord

from fedvsr_core.errors import AggregationError
from fedvsr_core.flower import keys
from fedvsr_core.secure.share import Share
from server_app.updates import Update


@dataclass(frozen=True)
class Combined:
    """What a round makes of its updates.

    Attributes:
        arrays: Name and values of each floating-point array of the new model, made when asked for.
        weights: What each client's update counted, by its name; they sum to one. Empty where a strategy
            of Flower's doesn't say.
    """

    arrays: Iterable[tuple[str, np.ndarray]]
    weights: Mapping[str, float]


class Aggregator(ABC):
    """Says what clients start a round from, and how their updates combine.

    Attributes:
        diagnostics: Facts of the latest round, plain JSON values.

    Class attributes:
        extra: Names of further ArrayRecords of an update, each in the form of the model.
        needs_loss: Whether it needs the losses, which a site that insists on privacy keeps.
        needs_examples: Whether it needs the numbers of examples.
        clips: Whether it bounds the norm of each update, so that screening needn't.
    """

    extra: tuple[str, ...] = ()
    needs_loss: bool = False
    needs_examples: bool = False
    clips: bool = False

    def __init__(self) -> None:
        self.diagnostics: dict[str, Any] = {}

    def prepare(self, *, clients: int, cohort: int) -> None:  # noqa: B027 (most need nothing)
        """Get ready for a run, before its first round; nothing, unless a subclass says otherwise.

        Args:
            clients: Clients of the federation.
            cohort: How many of them take part in a round.

        Raises:
            ConfigurationError: If the strategy can't work with so many.
        """

    def outgoing(self, server_round: int, model: ArrayRecord, clients: int) -> dict[str, ArrayRecord]:
        """What the clients of a round are sent, by the name of the record; the model as it is.

        Args:
            server_round: From 1.
            model: The arrays of the global model that travel.
            clients: How many take part.
        """
        return {keys.ARRAYS: model}

    def share(self, server_round: int) -> Share | None:
        """What a client's weight is made of, if it's something that the client can compute by itself.

        Then a mean can be taken of a secure sum. None, unless a subclass says otherwise.

        Args:
            server_round: From 1.
        """
        return None

    @abstractmethod
    def combine(self, server_round: int, updates: Sequence[Update]) -> Combined | None:
        """Make one model of the updates.

        Args:
            server_round: From 1.
            updates: Sound updates, in an order that doesn't depend on when they arrived. Their arrays may lie
                on disk: what reads them in parts takes as much memory for a hundred as for four.

        Returns:
            The new model, or None if there are too few updates.

        Raises:
            AggregationError: If the new model can't be a network's.
        """

    def state(self) -> dict[str, np.ndarray]:
        """What must survive a resume, as named arrays; nothing, unless a subclass says otherwise."""
        return {}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what `state` gave.

        Raises:
            AggregationError: If the names aren't those that `state` gives.
        """
        if set(state) != set(self.state()):
            raise AggregationError(
                f"{type(self).__name__} keeps {sorted(self.state()) or 'no state'}, got {sorted(state)};"
                " resume with the strategy of the run"
            )
