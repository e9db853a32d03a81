"""What every server half shares: messages out, sound updates in, one model back."""

import logging
import math
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid

from fedvsr_core.errors import AggregationError, ShapeError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.flower.records import records_of
from fedvsr_core.flower.views import view
from server_app.aggregation.bounds import LIMIT, largest
from server_app.strategies.resumable import ResumableStrategy

_log = logging.getLogger(__name__)

_LOSSES = (2.0**-30, 2.0**30)


@dataclass(frozen=True)
class Update:
    """What one client returned.

    Attributes:
        node: Its node id.
        arrays: Its floating-point arrays by name, read-only; names, shapes and dtypes are the global model's.
        magnitudes: The largest magnitude in each array, below `LIMIT`.
        numbers: What it reports: the finite scalars of its MetricRecord.
        beside: Further arrays in the model's form, by the name of their record.
    """

    node: int
    arrays: NamedArrays
    magnitudes: Mapping[str, float]
    numbers: Mapping[str, float]
    beside: Mapping[str, NamedArrays] = field(default_factory=dict)

    def loss(self) -> float:
        """The mean training loss; beyond 1e-9 and 1e9 it counts as the nearest of these.

        Raises:
            AggregationError: If none is reported, or it isn't finite and > 0.
        """
        loss = self.numbers.get(keys.LOSS)
        if loss is None or loss <= 0:
            raise AggregationError(f"its '{keys.LOSS}' must be finite and > 0, got {loss}")
        return min(max(loss, _LOSSES[0]), _LOSSES[1])


@dataclass(frozen=True)
class Combined:
    """What a round makes of its updates.

    Attributes:
        arrays: Name and values of each floating-point array of the new model, made when asked for.
        weights: What each node's update counted; they sum to one.
    """

    arrays: Iterable[tuple[str, np.ndarray]]
    weights: Mapping[int, float]


class RoundStrategy(ResumableStrategy):
    """A server half: subclasses say how updates combine.

    It trains on every node that the grid shows; a grid that shows some of the nodes draws a cohort. Replies
    that can't be used - errors, other arrays than the model's, values that aren't finite - are left out and
    logged. Integer and boolean arrays keep the global model's values.
    """

    def __init__(self) -> None:
        super().__init__()
        self._global = ArrayRecord()
        self._model: NamedArrays = {}  # the floating-point arrays of the same

    @abstractmethod
    def combine(self, server_round: int, updates: Iterator[Update]) -> Combined | None:
        """Make one model of the updates.

        Args:
            server_round: From 1.
            updates: Sound updates as they arrive; a strategy lets go of them as soon as it can.

        Returns:
            The new model, or None if no update could be used.
        """

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """A message to every node that the grid shows, by ascending id; waits until there is one."""
        self._global, self._model = arrays, _floating(arrays)
        while not (nodes := sorted(grid.get_node_ids())):
            _log.info("round %d waits for a node", server_round)
            time.sleep(1)
        # A new record each round: messages that wait in a simulation share theirs with whoever made them.
        config = ConfigRecord({**config, keys.SERVER_ROUND: server_round})
        content = RecordDict({keys.ARRAYS: arrays, keys.CONFIG: config})
        return [Message(content, dst_node_id=node, message_type=MessageType.TRAIN) for node in nodes]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Combine the replies, and average the numbers they report; (None, None) if none can be used."""
        self.diagnostics = {}
        reported: dict[int, Mapping[str, float]] = {}
        combined = self.combine(server_round, self._updates(replies, reported))
        if combined is None:
            _log.warning("round %d has no reply that can be used; the model stays as it was", server_round)
            return None, None
        self.diagnostics["weights"] = dict(sorted(combined.weights.items()))
        return self._pack(combined.arrays), _average(reported, combined.weights)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """No messages: the server scores the model on its own clips."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Nothing: no one was asked."""
        return None

    def summary(self) -> None:
        """Log the strategy's name."""
        _log.info("strategy: %s", type(self).__name__)

    def leave_out(self, node: int, reason: object) -> None:
        """Log that a node's reply isn't used."""
        _log.warning("left out the reply of node %d: %s", node, reason)

    def _updates(
        self, replies: Iterable[Message], reported: dict[int, Mapping[str, float]]
    ) -> Iterator[Update]:
        for reply in replies:
            node = reply.metadata.src_node_id
            try:
                if node in reported:
                    raise AggregationError("it has already replied")
                update = self._read(reply)
            except (AggregationError, ShapeError) as error:
                self.leave_out(node, error)
                continue
            finally:
                del reply  # the next one may be as large
            reported[node] = update.numbers
            yield update
            del update

    def _read(self, reply: Message) -> Update:
        if not reply.has_content():
            raise AggregationError(f"it failed: {reply.error if reply.has_error() else 'no content'}")
        records = records_of(reply.content, ArrayRecord)
        arrays = _the_one(records, keys.ARRAYS, "ArrayRecord")
        metrics = _the_one(records_of(reply.content, MetricRecord), keys.METRICS, "MetricRecord")
        received = _floating(arrays)
        model = self._model if len(self._global) else received  # some aggregate without having configured
        magnitudes = _magnitudes(received, model)
        beside = {name: _floating(record) for name, record in records.items() if name in self.beside}
        for further in beside.values():
            _magnitudes(further, model)
        if not len(self._global):
            self._global, self._model = arrays, received
        return Update(
            reply.metadata.src_node_id,
            {name: received[name] for name in model},
            magnitudes,
            _finite(metrics),
            {which: {name: further[name] for name in model} for which, further in beside.items()},
        )

    def _pack(self, arrays: Iterable[tuple[str, np.ndarray]]) -> ArrayRecord:
        new = ArrayRecord()
        for name, array in self._global.items():  # integer arrays stay; the order, too
            new[name] = array
        for name, values in arrays:
            new[name] = Array(np.asarray(values, dtype=self._model[name].dtype))
        return new


def _the_one(records: Mapping[str, Any], name: str, kind: str) -> Any:  # noqa: ANN401
    """The record of that name, or the only one: other ServerApps and clients may call theirs otherwise."""
    if name in records:
        return records[name]
    if len(records) != 1:
        raise AggregationError(f"a reply must carry one {kind}, got {len(records)}")
    return next(iter(records.values()))


def _magnitudes(received: NamedArrays, model: NamedArrays) -> dict[str, float]:
    """The largest magnitude in each array, if all are in the model's form and can be used."""
    if set(received) != set(model):
        raise AggregationError(
            f"its arrays must be the model's, but {sorted(set(received) ^ set(model))[:3]} differ"
        )
    for name, like in model.items():
        array = received[name]
        if array.shape != like.shape or array.dtype != like.dtype:
            raise AggregationError(
                f"'{name}' must be {like.dtype} of shape {like.shape}, got {array.dtype} {array.shape}"
            )
    magnitudes = {name: largest(array) for name, array in received.items()}
    if wrong := [name for name in model if not magnitudes[name] < LIMIT]:
        raise AggregationError(f"'{wrong[0]}' must hold finite values below {LIMIT:.0f}, and doesn't")
    return magnitudes


def _floating(arrays: ArrayRecord) -> NamedArrays:
    return {name: view(array) for name, array in arrays.items() if array.dtype.startswith("float")}


def _finite(metrics: MetricRecord) -> dict[str, float]:
    largest = float(np.finfo(np.float64).max)
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and -largest <= value <= largest
    }


def _average(reported: Mapping[int, Mapping[str, float]], weights: Mapping[int, float]) -> MetricRecord:
    names = sorted({name for node in weights for name in reported[node]} - {keys.NUM_EXAMPLES})
    average = MetricRecord()
    for name in names:
        told = [(weights[node], reported[node][name]) for node in weights if name in reported[node]]
        if (total := math.fsum(weight for weight, _ in told)) > 0:
            average[name] = math.fsum(weight / total * value for weight, value in told)
    return average
