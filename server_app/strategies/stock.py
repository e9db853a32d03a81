"""Flower's own strategies under our round loop: preconditions, fixed order, the model's form and a state."""

import logging
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import Strategy

from fedvsr_core.errors import AggregationError, ConfigurationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays, record_from_arrays, to_arrays
from server_app.aggregation.bounds import LIMIT, largest
from server_app.strategies.adaptive_clipping import AdaptiveClipping
from server_app.strategies.aggregator import Aggregator, Combined
from server_app.strategies.uniform import Uniform
from server_app.updates import Update

_log = logging.getLogger(__name__)

_CLIPPING = "clipping_norm"
_FURTHEST_LOSS = 100.0
"""Losses further from the median of a round, by this factor, count as that far."""


@dataclass(frozen=True)
class Facts:
    """What the round loop must know of a class of Flower's.

    Attributes:
        refused: Why it can't be used here; empty if it can.
        fewest: The fewest updates that it can do its work with.
        moments: The attributes that must survive a resume, each an array for each array of the model.
        by_distance: Whether it measures distances between models, and takes a plain mean of those it selects.
        needs_loss: Whether it weighs by losses.
        private: Whether it clips and adds noise, for the mean of equal weights that it wraps.
    """

    refused: str = ""
    fewest: Callable[[Any], int] = lambda strategy: 1
    moments: tuple[str, ...] = ()
    by_distance: bool = False
    needs_loss: bool = False
    private: bool = False


_NO_TREES = Facts(refused="it combines trees, not networks")
_NO_CLIENT_CLIPPING = Facts(refused="clients don't clip; take the server-side one")
_KRUM = Facts(
    fewest=lambda krum: max(2 * krum.num_malicious_nodes + 3, krum.num_nodes_to_select), by_distance=True
)
FACTS: Mapping[type[Strategy], Facts] = {
    flower.FedAvgM: Facts(moments=("momentum_vector",)),
    flower.FedAdam: Facts(moments=("m_t", "v_t")),
    flower.FedAdagrad: Facts(moments=("m_t", "v_t")),
    flower.FedYogi: Facts(moments=("m_t", "v_t")),
    flower.QFedAvg: Facts(needs_loss=True),
    flower.FedTrimmedAvg: Facts(fewest=lambda trimmed: _trimming(trimmed.beta)),
    flower.MultiKrum: _KRUM,
    flower.Krum: _KRUM,
    flower.Bulyan: Facts(fewest=lambda bulyan: 4 * bulyan.num_malicious_nodes + 3, by_distance=True),
    flower.DifferentialPrivacyServerSideFixedClipping: Facts(private=True),
    AdaptiveClipping: Facts(private=True),
    flower.DifferentialPrivacyServerSideAdaptiveClipping: Facts(
        refused="its clipping norm moves away from the quantile; take"
        f" {AdaptiveClipping.__module__}.{AdaptiveClipping.__name__}"
    ),
    flower.DifferentialPrivacyClientSideFixedClipping: _NO_CLIENT_CLIPPING,
    flower.DifferentialPrivacyClientSideAdaptiveClipping: _NO_CLIENT_CLIPPING,
    flower.FedProx: Facts(refused="its clients must add the proximal term; take strategy=fedprox"),
    flower.FedXgbBagging: _NO_TREES,
    flower.FedXgbCyclic: _NO_TREES,
}
"""By class; a subclass is as the nearest class that is here, and others need nothing."""


def facts(strategy: Strategy) -> Facts:
    """What is known of a strategy."""
    return next((FACTS[kind] for kind in type(strategy).__mro__ if kind in FACTS), Facts())


def adapted(strategy: Strategy | Aggregator) -> Aggregator:
    """A strategy as the round loop needs it: ours as it is, one of Flower's in an adapter."""
    return strategy if isinstance(strategy, Aggregator) else Stock(strategy)


class Stock(Aggregator):
    """Runs a strategy of ``flwr.serverapp.strategy``, or a wrapper for central privacy around another.

    Flower's code does the arithmetic. Around it: all of the cohort takes part; updates come in the order of
    the clients' names, and their arrays in that of the model, so that the same run gives the same bits; the
    new model has the dtypes of the old one; the noise of differential privacy is that for the updates that
    count, not for those that were expected; and the moments of server optimisers and adaptive clipping norms
    survive a resume. Strategies that measure distances get float64 differences from the global model, whose
    squares don't cancel, and equal weights, since theirs is a plain mean of what they select; q-FedAvg gets
    losses near the round's median, since a tiny one would stop the model.

    The noise itself comes from numpy's global generator, which is never seeded: whoever knows a seed could
    take the noise off again. So private runs aren't repeatable.

    Args:
        strategy: Flower's.

    Raises:
        ConfigurationError: If it can't do what it promises here; the sentence says why.
    """

    def __init__(self, strategy: Strategy) -> None:
        super().__init__()
        self._strategy = strategy
        self._model: NamedArrays = {}
        self._loaded: dict[str, np.ndarray] | None = None
        for layer in self._layers():
            _check(layer)
            if isinstance(layer, flower.FedAvg):
                layer.min_train_nodes = layer.min_available_nodes = 1  # Flower waits for them without end
        self.needs_loss = any(facts(layer).needs_loss for layer in self._layers())
        self.clips = facts(strategy).private

    def prepare(self, *, clients: int, cohort: int) -> None:
        """Refuse a cohort that is too small for what the strategy promises.

        Raises:
            ConfigurationError: If it is.
        """
        for layer in self._layers():
            if isinstance(layer, Aggregator):
                layer.prepare(clients=clients, cohort=cohort)
            name, needed = type(layer).__name__, facts(layer).fewest(layer)
            if cohort < needed:
                raise ConfigurationError(
                    f"{name} needs at least {needed} clients in a round with these arguments, got {cohort};"
                    " start more clients, raise cohort.clients_per_round, or change strategy.server"
                )
            if isinstance(layer, flower.FedAvgM):
                _warn_of_long_steps(layer)
        for layer in self._private_layers():
            if layer.num_sampled_clients != cohort:
                raise ConfigurationError(
                    f"{type(layer).__name__} is told of {layer.num_sampled_clients} clients in a round, but"
                    f" {cohort} take part; set strategy.server.num_sampled_clients={cohort}"
                )

    def outgoing(self, server_round: int, model: ArrayRecord, clients: int) -> dict[str, ArrayRecord]:
        """What Flower sends to every client."""
        if self._model and set(self._model) != set(model):  # a frozen part begins to learn
            self._loaded = self.state()
        self._model = to_arrays(model)
        if self._loaded is not None:
            self._take(self._loaded)
            self._loaded = None
        nodes = cast(Grid, _Nodes(clients))
        messages = self._strategy.configure_train(server_round, model, ConfigRecord(), nodes)
        content = next(iter(messages)).content
        return {name: record for name, record in content.items() if isinstance(record, ArrayRecord)}

    def combine(self, server_round: int, updates: Sequence[Update]) -> Combined | None:
        """Flower's aggregation; None if there are too few updates for what the strategy promises."""
        self.diagnostics = {}
        ordered = sorted(updates, key=lambda update: update.client)
        if len(ordered) < (needed := max(facts(layer).fewest(layer) for layer in self._layers())):
            _log.warning(
                "round %d: %s needs at least %d sound replies, got %d; the model stays as it was",
                server_round,
                type(self._strategy).__name__,
                needed,
                len(ordered),
            )
            return None
        by_distance = facts(self._strategy).by_distance
        losses = _near_the_median([update.loss for update in ordered]) if self.needs_loss else []
        replies = [
            _message(
                update,
                self._difference(update.arrays) if by_distance else update.record(),
                examples=1 if by_distance else update.examples,
                loss=losses[number] if losses else update.loss,
            )
            for number, update in enumerate(ordered)
        ]
        for layer in self._private_layers():
            layer.num_sampled_clients = len(ordered)
            self.diagnostics["clipping-norm"] = float(layer.clipping_norm)
            whole = layer.whole_noise if isinstance(layer, AdaptiveClipping) else layer.noise_multiplier
            self.diagnostics["noise-multiplier"] = float(whole)
        new, _ = self._strategy.aggregate_train(server_round, replies)
        if new is None:
            return None
        by_node: dict[str, float] = {}
        for layer in self._layers():
            if isinstance(layer, Aggregator):
                by_node = layer.diagnostics["weights"]
        names = {str(update.node): update.client for update in ordered}
        weights = {names[node]: weight for node, weight in by_node.items()}
        return Combined(self._repaired(new, added=by_distance), weights)

    def state(self) -> dict[str, np.ndarray]:
        """Moments and clipping norms."""
        if self._loaded is not None:
            return dict(self._loaded)
        kept: dict[str, np.ndarray] = {}
        for layer in self._layers():
            for moment in facts(layer).moments:
                values = getattr(layer, moment) or {}
                named = values if isinstance(values, dict) else dict(zip(self._model, values, strict=True))
                kept |= {f"{moment}/{name}": np.asarray(array) for name, array in named.items()}
            if isinstance(layer, AdaptiveClipping):
                kept[_CLIPPING] = np.asarray(float(layer.clipping_norm))
        return kept

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what `state` gave, when the next round begins.

        Raises:
            AggregationError: If the strategy keeps nothing of the kind.
        """
        kinds = {name.partition("/")[0] for name in state}
        known = {moment for layer in self._layers() for moment in facts(layer).moments}
        known |= {_CLIPPING for layer in self._layers() if isinstance(layer, AdaptiveClipping)}
        if not kinds <= known:
            raise AggregationError(
                f"{type(self._strategy).__name__} keeps {sorted(known) or 'no state'}, got {sorted(kinds)};"
                " resume with the strategy of the run"
            )
        self._loaded = dict(state)

    def _take(self, state: Mapping[str, np.ndarray]) -> None:
        for layer in self._layers():
            for moment in facts(layer).moments:
                known = any(key.startswith(f"{moment}/") for key in state)
                named = {
                    name: state.get(f"{moment}/{name}", np.zeros_like(like))
                    for name, like in (self._model if known else {}).items()
                }
                as_list = moment == "momentum_vector"
                setattr(layer, moment, (list(named.values()) if as_list else named) or None)
            if isinstance(layer, flower.FedAvgM):
                layer.current_arrays = None  # it then takes the model that the round starts with
            if isinstance(layer, AdaptiveClipping) and _CLIPPING in state:
                layer.clipping_norm = float(state[_CLIPPING])

    def _layers(self) -> Iterator[Strategy]:
        """The strategy, then what it wraps."""
        layer: Strategy | None = self._strategy
        while layer is not None:
            yield layer
            layer = getattr(layer, "strategy", None)

    def _private_layers(self) -> Iterator[Any]:
        return (layer for layer in self._layers() if facts(layer).private)

    def _difference(self, arrays: Mapping[str, np.ndarray]) -> ArrayRecord:
        return record_from_arrays(
            {name: np.subtract(arrays[name], like, dtype=np.float64) for name, like in self._model.items()}
        )

    def _repaired(self, new: ArrayRecord, *, added: bool) -> Iterable[tuple[str, np.ndarray]]:
        """The new model in the form of the old one; ``added`` to it, if it came as a difference."""
        arrays = {
            name: np.asarray(new[name].numpy() + (like if added else 0), like.dtype).reshape(like.shape)
            for name, like in self._model.items()
        }
        if bad := [
            name for name, array in arrays.items() if array.dtype.kind == "f" and not largest(array) < LIMIT
        ]:
            raise AggregationError(
                f"{type(self._strategy).__name__} makes '{bad[0]}' larger than {LIMIT:.0f}; take a smaller"
                " step size or less noise"
            )
        return arrays.items()


@dataclass(frozen=True)
class _Nodes:
    """All of a grid that a strategy of Flower's looks at: as many nodes as take part."""

    count: int

    def get_node_ids(self) -> list[int]:
        return list(range(1, self.count + 1))


def _message(update: Update, arrays: ArrayRecord, *, examples: float, loss: float) -> Message:
    """An update as Flower's strategies read it."""
    metrics = MetricRecord({keys.NUM_EXAMPLES: int(examples), keys.LOSS: loss})
    asked = Message(RecordDict(), dst_node_id=update.node, message_type=MessageType.TRAIN)
    return Message(RecordDict({keys.ARRAYS: arrays, keys.METRICS: metrics}), reply_to=asked)


def _check(layer: Strategy) -> None:
    """See whether a strategy can do here what it promises.

    Raises:
        ConfigurationError: If not.
    """
    name, known = type(layer).__name__, facts(layer)
    if known.refused:
        raise ConfigurationError(f"Flower's {name} can't be used here: {known.refused}")
    if isinstance(layer, flower.FedAvg):
        if layer.fraction_train != 1:
            raise ConfigurationError(
                f"{name}.fraction_train must be 1, got {layer.fraction_train}; cohort.clients_per_round says"
                " how many clients take part in a round"
            )
        if layer.weighted_by_key != keys.NUM_EXAMPLES:
            raise ConfigurationError(
                f"{name}.weighted_by_key must be '{keys.NUM_EXAMPLES}', got '{layer.weighted_by_key}'"
            )
    if isinstance(layer, flower.QFedAvg) and layer.train_loss_key != keys.LOSS:
        raise ConfigurationError(
            f"{name}.train_loss_key must be '{keys.LOSS}', which clients report, got '{layer.train_loss_key}'"
        )
    if known.private and not isinstance(layer.strategy, Uniform):  # type: ignore[attr-defined]
        raise ConfigurationError(
            f"{name} must wrap a mean of equal weights, for which its noise is made, got"
            f" {type(layer.strategy).__name__}; set strategy.server.strategy._target_="  # type: ignore[attr-defined]
            f"{Uniform.__module__}.{Uniform.__name__}"
        )


def _warn_of_long_steps(layer: flower.FedAvgM) -> None:
    """Say how far the model goes in the end for each update: the sum of what momentum makes of it."""
    if layer.server_momentum < 1 and (step := layer.server_learning_rate / (1 - layer.server_momentum)) > 2:
        _log.warning(
            "%s with server_momentum=%g and server_learning_rate=%g moves the model %.3g times as far as the"
            " mean of the clients' updates; for steps of length one set server_learning_rate=%.3g",
            type(layer).__name__,
            layer.server_momentum,
            layer.server_learning_rate,
            step,
            1 - layer.server_momentum,
        )


def _near_the_median(losses: Sequence[float]) -> list[float]:
    median = statistics.median(losses)
    return [min(max(loss, median / _FURTHEST_LOSS), median * _FURTHEST_LOSS) for loss in losses]


def _trimming(beta: float) -> int:
    """The fewest updates of which a share ``beta`` at either end is at least one."""
    return next(count for count in range(1, 10**6) if int(beta * count) >= 1) if beta > 0 else 1
