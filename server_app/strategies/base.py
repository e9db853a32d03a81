"""What every server half shares: messages out, sound updates in, one model back."""

import logging
import math
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fedvsr_core.aggregation.bounds import LIMIT, within
from fedvsr_core.errors import AggregationError, ShapeError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.flower.views import view

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Update:
    """What one client returned.

    Attributes:
        node: Its node id.
        arrays: Its floating-point arrays by name, read-only, with the names, shapes and dtypes of the global model.
        numbers: What it reports: the finite scalars of its MetricRecord.
    """

    node: int
    arrays: NamedArrays
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Combined:
    """What a round makes of its updates.

    Attributes:
        arrays: Name and float64 values, in any shape, of each array of the new global model; made when asked for.
        weights: What each node's update counted; they sum to one.
    """

    arrays: Iterable[tuple[str, np.ndarray]]
    weights: Mapping[int, float]


class RoundStrategy(Strategy):
    """A server half: subclasses say how updates combine.

    It trains on every node that the grid shows, so a grid that shows only some of them draws the cohort. Replies that
    can't be used - errors, other arrays than the model's, values that aren't finite - are left out and logged.
    Integer and boolean arrays keep the global model's values.

    Attributes:
        diagnostics: Facts of the latest round as plain JSON values but for the keys of ``weights``, the node ids.
    """

    def __init__(self) -> None:
        self.diagnostics: dict[str, Any] = {}
        self._global: ArrayRecord | None = None

    @abstractmethod
    def combine(self, server_round: int, updates: Iterator[Update]) -> Combined | None:
        """Make one model of the updates.

        Args:
            server_round: From 1.
            updates: Sound updates as they arrive, each to be used and let go before the next is asked for.

        Returns:
            The new model, or None if no update could be used.
        """

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """A message to every node that the grid shows, in the order of their ids; waits until there is one."""
        self._global = arrays
        while not (nodes := sorted(grid.get_node_ids())):
            _log.info("round %d waits for a node", server_round)
            time.sleep(1)
        # A new record each round: messages that wait in a simulation share theirs with whoever made them.
        content = RecordDict(
            {keys.ARRAYS: arrays, keys.CONFIG: ConfigRecord({**config, keys.SERVER_ROUND: server_round})}
        )
        return [Message(content, dst_node_id=node, message_type=MessageType.TRAIN) for node in nodes]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Combine the sound replies; (None, None) if there are none."""
        self.diagnostics = {}
        reports: dict[int, Mapping[str, float]] = {}
        combined = self.combine(server_round, self._updates(replies, reports))
        if combined is None:
            _log.warning("round %d has no usable reply; the model stays as it was", server_round)
            return None, None
        self.diagnostics["weights"] = dict(sorted(combined.weights.items()))
        return self._pack(combined), _average(reports, combined.weights)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """No messages: the server scores the model on its own clips."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """None: there is nothing to aggregate."""
        return None

    def summary(self) -> None:
        """Log the strategy's name."""
        _log.info("strategy: %s", type(self).__name__)

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

    def leave_out(self, node: int, reason: str) -> None:
        """Log that an update isn't used."""
        _log.warning("left out the reply of node %d: %s", node, reason)

    def _updates(self, replies: Iterable[Message], reports: dict[int, Mapping[str, float]]) -> Iterator[Update]:
        for reply in replies:
            node = reply.metadata.src_node_id
            try:
                if node in reports:
                    raise AggregationError("it has already replied")
                update = self._read(reply)
            except (AggregationError, ShapeError) as error:
                self.leave_out(node, str(error))
                continue
            finally:
                del reply  # the next one may be as large
            reports[node] = update.numbers
            yield update
            del update

    def _read(self, reply: Message) -> Update:
        if reply.has_error():
            raise AggregationError(f"error {reply.error.code}: {reply.error.reason}")
        arrays = _only(reply.content.array_records, keys.ARRAYS, "ArrayRecord")
        metrics = _only(reply.content.metric_records, keys.METRICS, "MetricRecord")
        if self._global is None:
            self._global = arrays  # aggregate_train was called by itself
        expected = {name: array for name, array in self._global.items() if _is_floating(array)}
        views = {name: view(array) for name, array in arrays.items() if _is_floating(array)}
        if set(views) != set(expected):
            raise AggregationError(
                f"its arrays must be the model's, but {sorted(set(views) ^ set(expected))[:3]} differ"
            )
        for name, array in views.items():
            if array.shape != tuple(expected[name].shape) or str(array.dtype) != expected[name].dtype:
                raise AggregationError(
                    f"'{name}' must be {expected[name].dtype} of shape {tuple(expected[name].shape)},"
                    f" got {array.dtype} {array.shape}"
                )
            if not within(array):
                raise AggregationError(f"'{name}' must hold finite values below {LIMIT:.0f}, and doesn't")
        numbers = {
            name: float(value)
            for name, value in metrics.items()
            if isinstance(value, int | float) and abs(value) < float("inf")
        }
        return Update(reply.metadata.src_node_id, {name: views[name] for name in expected}, numbers)

    def _pack(self, combined: Combined) -> ArrayRecord:
        old_model = self._global or ArrayRecord()
        new = ArrayRecord(dict(old_model))
        for name, values in combined.arrays:
            old = old_model[name]
            new[name] = Array(np.asarray(values.reshape(old.shape), dtype=old.dtype))
        return new


def _only(records: Mapping[str, Any], name: str, kind: str) -> Any:  # noqa: ANN401
    if name in records:
        return records[name]
    if len(records) != 1:
        raise AggregationError(f"a reply must carry one {kind}, got {len(records)}")
    return next(iter(records.values()))


def _is_floating(array: Array) -> bool:
    return array.dtype in ("float16", "float32", "float64")


def _average(reports: Mapping[int, Mapping[str, float]], weights: Mapping[int, float]) -> MetricRecord:
    names = sorted({name for node in weights for name in reports[node]} - {keys.NUM_EXAMPLES})
    average = MetricRecord()
    for name in names:
        told = [(weights[node], reports[node][name]) for node in weights if name in reports[node]]
        if (total := math.fsum(weight for weight, _ in told)) > 0:
            average[name] = math.fsum(weight * value for weight, value in told) / total
    return average
