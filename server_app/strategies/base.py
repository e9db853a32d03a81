"""What makes our strategies work in anyone's ServerApp: Flower's side of them, with FedAvg's arguments."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypedDict, Unpack

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg as FlowerFedAvg

from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.flower.records import records_of
from server_app.asking import Refusal, RefusedError
from server_app.strategies.aggregator import Aggregator
from server_app.updates import Measured, Update, floating, judge

MOST_EXAMPLES = 2**30
_log = logging.getLogger(__name__)


class FlowerOptions(TypedDict, total=False):
    """The arguments of Flower's FedAvg, with its defaults and meaning; for a ServerApp that calls ``start``.

    Our own round loop needs none of them.

    Attributes:
        fraction_train: Share of the nodes that train in a round.
        fraction_evaluate: Share of the nodes that evaluate; 0 for no evaluation.
        min_train_nodes: Fewest nodes that train.
        min_evaluate_nodes: Fewest nodes that evaluate.
        min_available_nodes: Nodes to wait for.
        weighted_by_key: Where a reply's MetricRecord has the number of examples.
        arrayrecord_key: Name of the model's record.
        configrecord_key: Name of the record of settings.
        train_metrics_aggr_fn: Makes one MetricRecord of the replies' to training.
        evaluate_metrics_aggr_fn: The same for evaluation.
    """

    fraction_train: float
    fraction_evaluate: float
    min_train_nodes: int
    min_evaluate_nodes: int
    min_available_nodes: int
    weighted_by_key: str
    arrayrecord_key: str
    configrecord_key: str
    train_metrics_aggr_fn: Callable[[list[RecordDict], str], MetricRecord]
    evaluate_metrics_aggr_fn: Callable[[list[RecordDict], str], MetricRecord]


class StrategyOptions(FlowerOptions, total=False):
    """What every strategy of ours takes, as `RoundStrategy`."""

    loss_key: str


class RoundStrategy(Aggregator, FlowerFedAvg):
    """A strategy of ours: subclasses say how updates combine; for Flower, it is one of its own.

    Our round loop calls what `Aggregator` has. ``start`` of another ServerApp calls what Flower's strategies
    have: nodes are sampled, evaluated and logged as by its FedAvg. Replies that can't be used - errors, other
    arrays than the model's, values that aren't finite, no loss where the strategy needs it - are left out and
    logged. Integer and boolean arrays keep the global model's values.

    Args:
        loss_key: Where a reply's MetricRecord has the mean training loss, as in Flower's examples; the
            ``loss`` of our own clients is found as well.
        options: As `FlowerOptions`.
    """

    def __init__(self, *, loss_key: str = "train_loss", **options: Unpack[FlowerOptions]) -> None:
        FlowerFedAvg.__init__(self, **options)
        Aggregator.__init__(self)
        self.loss_key = loss_key
        self._sent: NamedArrays = {}  # the floating-point arrays that this round's clients start from
        self._model = ArrayRecord()  # the model, for what doesn't change

    def outgoing(self, server_round: int, model: ArrayRecord, clients: int) -> dict[str, ArrayRecord]:
        """The model, which updates are then compared with."""
        self._sent = floating(model)
        return super().outgoing(server_round, model, clients)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Flower's messages to a sample of the nodes, with what the strategy sends."""
        messages = list(super().configure_train(server_round, arrays, config, grid))
        self._model = arrays
        outgoing = self.outgoing(server_round, arrays, len(messages))
        records = {self.arrayrecord_key: outgoing.pop(keys.ARRAYS), **outgoing}
        for message in messages:
            for name, record in records.items():
                message.content[name] = record
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Combine the replies, and their numbers; (None, None) if none can be used."""
        self.diagnostics = {}
        told: dict[int, RecordDict] = {}
        updates = sorted(self._updates(replies, told), key=lambda update: update.node)
        combined = self.combine(server_round, updates)
        if combined is None:
            _log.warning("round %d has no reply that can be used; the model stays as it was", server_round)
            return None, None
        self.diagnostics["weights"] = dict(sorted(combined.weights.items()))
        new = ArrayRecord(dict(self._model))  # integer arrays stay; the order, too
        for name, values in combined.arrays:
            new[name] = Array(np.asarray(values, dtype=self._sent[name].dtype))
        return new, self.train_metrics_aggr_fn([told[node] for node in sorted(told)], self.weighted_by_key)

    def _updates(self, replies: Iterable[Message], told: dict[int, RecordDict]) -> Iterator[Update]:
        seen: set[int] = set()
        for reply in replies:
            node = reply.metadata.src_node_id
            try:
                if node in seen:
                    raise RefusedError("duplicate", "its node has already replied")
                update, metrics = self._read(reply)
            except RefusedError as error:
                Refusal("unknown", node, error.code, str(error)).log("aggregate_train")
                continue
            finally:
                del reply  # the next one may be as large
            seen.add(node)
            if 0 < update.examples < MOST_EXAMPLES:
                told[node] = RecordDict({keys.METRICS: metrics})
            yield update
            del update

    def _read(self, reply: Message) -> tuple[Update, MetricRecord]:
        if not reply.has_content():
            raise RefusedError("error", f"it failed: {reply.error if reply.has_error() else 'no content'}")
        records = records_of(reply.content, ArrayRecord)
        arrays = _only(records, self.arrayrecord_key, "ArrayRecord")
        numbers = _finite(_only(records_of(reply.content, MetricRecord), keys.METRICS, "MetricRecord"))
        loss = numbers.get(self.loss_key, numbers.get(keys.LOSS, math.nan))
        examples = numbers.get(self.weighted_by_key, math.nan)
        if self.needs_loss and not loss > 0:
            raise RefusedError(
                "loss", f"its '{self.loss_key}' or '{keys.LOSS}' must be finite and > 0, got {loss}"
            )
        if self.needs_examples and not 0 < examples < MOST_EXAMPLES:
            raise RefusedError(
                "examples",
                f"its '{self.weighted_by_key}' must be > 0 and below {MOST_EXAMPLES}, got {examples}",
            )
        if not self._sent:  # some aggregate without having configured
            self._sent, self._model = floating(arrays), arrays
        if absent := [name for name in self.extra if name not in records]:
            raise RefusedError("names", f"it must carry '{absent[0]}'")
        update = Update(
            client=str(reply.metadata.src_node_id),
            node=reply.metadata.src_node_id,
            model=self._judge(arrays),
            examples=examples,
            loss=loss,
            extra={name: self._judge(records[name]) for name in self.extra},
        )
        return update, MetricRecord(dict(numbers))

    def _judge(self, arrays: ArrayRecord) -> Measured:
        floats = {name: array for name, array in arrays.items() if array.dtype.startswith("float")}
        return judge(ArrayRecord(floats), self._sent)


def _only(records: Mapping[str, Any], name: str, kind: str) -> Any:  # noqa: ANN401
    """The record of that name, or the only one: other clients may call theirs otherwise."""
    if name in records:
        return records[name]
    if len(records) != 1:
        raise RefusedError("names", f"a reply must carry one {kind}, got {len(records)}")
    return next(iter(records.values()))


def _finite(metrics: MetricRecord) -> dict[str, float]:
    """The numbers of which a mean has a meaning."""
    most = float(np.finfo(np.float64).max)
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and -most <= value <= most
    }
