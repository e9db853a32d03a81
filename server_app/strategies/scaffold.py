"""SCAFFOLD's server: the mean of the models, and a control variate that follows the mean of the gradients."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid

from fedvsr_core.aggregation.bounds import largest
from fedvsr_core.aggregation.running_sum import RunningSums
from fedvsr_core.errors import AggregationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays, completed
from server_app.strategies.base import Combined, RoundStrategy, Update


class Scaffold(RoundStrategy):
    """Moves the model by the mean update, and the variate ``c`` by ``|S| / N`` of the mean change of theirs.

    Clients count the same, as in the paper. The variate starts at zero and stays the sum of all clients'
    variates over N, since clients recall only variates whose change has arrived here.

    Args:
        step_size: Of the server, eta_g, > 0; 1 makes the model the mean of what clients return.
        num_clients: N; None for as many as take part in the run, or as the grid shows.

    Raises:
        AggregationError: If an argument is out of its range.

    Source: SCAFFOLD (Karimireddy et al., ICML 2020), algorithm 1 and equation 5.
    """

    beside = (keys.VARIATES,)

    def __init__(self, *, step_size: float, num_clients: int | None = None) -> None:
        super().__init__()
        if step_size <= 0:
            raise AggregationError(f"step_size must be > 0, got {step_size}")
        if num_clients is not None and num_clients < 1:
            raise AggregationError(f"num_clients must be at least 1, got {num_clients}")
        self.step_size = step_size
        self.num_clients = num_clients
        self._variate: NamedArrays = {}
        self._models, self._changes = RunningSums((1.0,)), RunningSums((1.0,))

    def prepare(self, *, clients: int, cohort: int) -> None:
        """Learn N, unless it was given."""
        if self.num_clients is None:
            self.num_clients = clients

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The same message to all, with the variate."""
        messages = list(super().configure_train(server_round, arrays, config, grid))
        if self.num_clients is None:
            self.num_clients = len(messages)
        self._variate = {
            name: self._variate.get(name, np.zeros_like(like)) for name, like in self._model.items()
        }
        variate = completed(self._variate, arrays)
        for message in messages:
            message.content[keys.VARIATES] = variate
        return messages

    def combine(self, server_round: int, updates: Iterator[Update]) -> Combined | None:
        """The mean of the models, eta_g of the way; the variate moves along."""
        self._models.clear()
        self._changes.clear()
        nodes: list[int] = []
        for update in updates:
            if (change := update.beside.get(keys.VARIATES)) is None:
                self.leave_out(update.node, AggregationError(f"it must carry '{keys.VARIATES}'"))
                continue
            nodes.append(update.node)
            self._models.add(update.arrays, (1.0,), update.magnitudes)
            self._changes.add(change, (1.0,), {name: largest(array) for name, array in change.items()})
            del update, change
        if not nodes:
            return None
        of = max(self.num_clients or 0, len(nodes))
        moves = self._changes.combine((1 / of,))  # |S| / N times their mean
        self._variate = self._variate | {
            name: np.asarray(self._variate[name] + move) if name in self._variate else move
            for name, move in moves
        }
        return Combined(self._moved(1 / len(nodes)), dict.fromkeys(nodes, 1 / len(nodes)))

    def state(self) -> dict[str, np.ndarray]:
        """The variate."""
        return dict(self._variate)

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back the variate."""
        self._variate = dict(state)

    def _moved(self, share: float) -> Iterator[tuple[str, np.ndarray]]:
        for name, mean in self._models.combine((share,)):
            before = self._model[name]
            yield name, mean if self.step_size == 1 else before + self.step_size * (mean - before)
