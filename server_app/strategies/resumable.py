"""What the round loop asks of a strategy beyond what Flower does: preconditions, diagnostics and a state."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.serverapp.strategy import Strategy

from fedvsr_core.errors import AggregationError, ConfigurationError


class ResumableStrategy(Strategy):
    """A strategy of Flower that can be stopped and resumed.

    Attributes:
        diagnostics: Facts of the latest round, plain JSON values but that ``weights`` is by node id.

    Class attributes:
        beside: Names of further ArrayRecords of a reply, each in the form of the model.
        weighs_by_loss: Whether it needs the losses, which a site that insists on privacy keeps.
        clips: Whether it bounds the norm of each update, so that screening needn't.
        most_clients: How many it can combine in a round; None for any number.
    """

    beside: tuple[str, ...] = ()
    weighs_by_loss: bool = False
    clips: bool = False
    most_clients: int | None = None

    def __init__(self) -> None:
        self.diagnostics: dict[str, Any] = {}

    def prepare(self, *, clients: int, cohort: int) -> None:
        """Get ready for a run, before its first round; subclasses may do more than refuse a large cohort.

        Args:
            clients: Clients of the federation.
            cohort: How many of them take part in a round.

        Raises:
            ConfigurationError: If the strategy can't work with so many.
        """
        if self.most_clients is not None and cohort > self.most_clients:
            raise ConfigurationError(
                f"{type(self).__name__} combines at most {self.most_clients} clients in a round, got"
                f" {cohort}; set cohort.clients_per_round={self.most_clients} or less"
            )

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
