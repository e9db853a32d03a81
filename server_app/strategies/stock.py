"""Flower's own strategies under our round loop: preconditions, fixed order, the model's form and a state."""

import logging
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import Strategy

from fedvsr_core.errors import AggregationError, ConfigurationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays, record_from_arrays, to_arrays
from fedvsr_core.flower.records import records_of
from fedvsr_core.flower.training_report import TrainingReport
from server_app.aggregation.bounds import LIMIT, largest
from server_app.strategies.adaptive_clipping import AdaptiveClipping
from server_app.strategies.resumable import ResumableStrategy
from server_app.strategies.uniform import Uniform

_log = logging.getLogger(__name__)

_FIXED = (flower.DifferentialPrivacyServerSideFixedClipping,)
_ADAPTIVE = (AdaptiveClipping,)
_BY_DISTANCE = (flower.MultiKrum, flower.Bulyan)
_REFUSED: Mapping[type[Strategy], str] = {
    flower.FedProx: "its clients must add the proximal term; take strategy=fedprox",
    flower.FedXgbBagging: "it combines trees, not networks",
    flower.FedXgbCyclic: "it combines trees, not networks",
    flower.DifferentialPrivacyServerSideAdaptiveClipping: (
        "its clipping norm moves away from the quantile; take"
        f" {AdaptiveClipping.__module__}.{AdaptiveClipping.__name__}"
    ),
    flower.DifferentialPrivacyClientSideFixedClipping: "clients don't clip; take the server-side one",
    flower.DifferentialPrivacyClientSideAdaptiveClipping: "clients don't clip; take the server-side one",
}
_MOMENTS = ("m_t", "v_t", "momentum_vector")
_CLIPPING = "clipping_norm"
_FURTHEST_LOSS = 100.0
"""Losses further from the median of a round, by this factor, count as that far."""


def adapted(strategy: Strategy) -> ResumableStrategy:
    """A strategy as the round loop needs it: ours as it is, one of Flower's in an adapter."""
    return strategy if isinstance(strategy, ResumableStrategy) else Stock(strategy)


class Stock(ResumableStrategy):
    """Runs a strategy of ``flwr.serverapp.strategy``, or a wrapper for central privacy around another.

    Flower's code does the arithmetic. Around it: all of the cohort is asked; replies come in the order of the
    clients' names, and their arrays in that of the model, so that the same run gives the same bits; the new
    model has the dtypes of the old one; the noise of differential privacy is that for the replies that count,
    not for those that were expected; and the moments of server optimisers and adaptive clipping norms
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
        self.weighs_by_loss = any(isinstance(layer, flower.QFedAvg) for layer in self._layers())
        self.clips = isinstance(strategy, (*_FIXED, *_ADAPTIVE))

    def prepare(self, *, clients: int, cohort: int) -> None:
        """Refuse a cohort that is too small for what the strategy promises.

        Raises:
            ConfigurationError: If it is.
        """
        for layer in self._layers():
            if isinstance(layer, ResumableStrategy):
                layer.prepare(clients=clients, cohort=cohort)
            name, needed = type(layer).__name__, _fewest(layer)
            if cohort < needed:
                raise ConfigurationError(
                    f"{name} needs at least {needed} clients in a round with these arguments, got {cohort};"
                    " start more clients, raise cohort.clients_per_round, or change strategy.server"
                )
            if isinstance(layer, (*_FIXED, *_ADAPTIVE)) and layer.num_sampled_clients != cohort:
                raise ConfigurationError(
                    f"{name} is told of {layer.num_sampled_clients} clients in a round, but {cohort} take"
                    f" part; set strategy.server.num_sampled_clients={cohort}"
                )

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Flower's messages, by ascending node."""
        if self._model and set(self._model) != set(arrays):  # a frozen part begins to learn
            self._loaded = self.state()
        self._model = to_arrays(arrays)
        if self._loaded is not None:
            self._take(self._loaded)
            self._loaded = None
        messages = self._strategy.configure_train(server_round, arrays, config, grid)
        return sorted(messages, key=lambda message: message.metadata.dst_node_id)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Flower's aggregation; (None, None) if there are too few replies for what the strategy promises.

        Raises:
            AggregationError: If values of the new model are too large to be a network's.
        """
        self.diagnostics = {}
        ordered = sorted(replies, key=lambda reply: TrainingReport.unpack(reply.content).client)
        if len(ordered) < (needed := max(map(_fewest, self._layers()))):
            _log.warning(
                "round %d: %s needs at least %d sound replies, got %d; the model stays as it was",
                server_round,
                type(self._strategy).__name__,
                needed,
                len(ordered),
            )
            return None, None
        by_distance = isinstance(self._strategy, _BY_DISTANCE)
        for reply in ordered:
            arrays = records_of(reply.content, ArrayRecord)[keys.ARRAYS]
            reply.content[keys.ARRAYS] = (
                self._differences(arrays)
                if by_distance
                else ArrayRecord({name: arrays[name] for name in self._model})
            )
            if by_distance:
                records_of(reply.content, MetricRecord)[keys.METRICS][keys.NUM_EXAMPLES] = 1
        if isinstance(self._strategy, flower.QFedAvg):
            _bring_losses_near(ordered)
        for layer in self._layers():
            if isinstance(layer, (*_FIXED, *_ADAPTIVE)):
                layer.num_sampled_clients = len(ordered)
                self.diagnostics["clipping-norm"] = float(layer.clipping_norm)
                whole = layer.whole_noise if isinstance(layer, _ADAPTIVE) else layer.noise_multiplier
                self.diagnostics["noise-multiplier"] = float(whole)
        updated, metrics = self._strategy.aggregate_train(server_round, ordered)
        if updated is None:
            return None, None
        for layer in self._layers():
            self.diagnostics |= layer.diagnostics if isinstance(layer, ResumableStrategy) else {}
        return self._repaired(updated, added=by_distance), metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """No messages: the round loop evaluates."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Nothing: no one was asked."""
        return None

    def summary(self) -> None:
        """As the strategy says."""
        self._strategy.summary()

    def state(self) -> dict[str, np.ndarray]:
        """Moments and clipping norms."""
        if self._loaded is not None:
            return dict(self._loaded)
        found: dict[str, np.ndarray] = {}
        for layer in self._layers():
            for moment in _MOMENTS:
                values = getattr(layer, moment, None) or {}
                named = values if isinstance(values, dict) else dict(zip(self._model, values, strict=True))
                found |= {f"{moment}/{name}": np.asarray(array) for name, array in named.items()}
            if isinstance(layer, _ADAPTIVE):
                found[_CLIPPING] = np.asarray(float(layer.clipping_norm))
        return found

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what `state` gave, when the next round begins.

        Raises:
            AggregationError: If the strategy keeps nothing of the kind.
        """
        kinds = {name.partition("/")[0] for name in state}
        known = {kind for layer in self._layers() for kind in (*_MOMENTS, _CLIPPING) if hasattr(layer, kind)}
        if not kinds <= known:
            raise AggregationError(
                f"{type(self._strategy).__name__} keeps {sorted(known) or 'no state'}, got {sorted(kinds)};"
                " resume with the strategy of the run"
            )
        self._loaded = dict(state)

    def _take(self, state: Mapping[str, np.ndarray]) -> None:
        for layer in self._layers():
            for moment in _MOMENTS:
                if hasattr(layer, moment):
                    known = any(key.startswith(f"{moment}/") for key in state)
                    named = {
                        name: state.get(f"{moment}/{name}", np.zeros_like(like))
                        for name, like in (self._model if known else {}).items()
                    }
                    as_list = moment == "momentum_vector"
                    setattr(layer, moment, (list(named.values()) if as_list else named) or None)
            if isinstance(layer, flower.FedAvgM):
                layer.current_arrays = None  # it then takes the model that the round starts with
            if isinstance(layer, _ADAPTIVE) and _CLIPPING in state:
                layer.clipping_norm = float(state[_CLIPPING])

    def _layers(self) -> Iterator[Strategy]:
        """The strategy, then what it wraps."""
        layer: Strategy | None = self._strategy
        while layer is not None:
            yield layer
            layer = getattr(layer, "strategy", None)

    def _differences(self, arrays: ArrayRecord) -> ArrayRecord:
        return record_from_arrays(
            {
                name: np.subtract(arrays[name].numpy(), like, dtype=np.float64)
                for name, like in self._model.items()
            }
        )

    def _repaired(self, updated: ArrayRecord, *, added: bool) -> ArrayRecord:
        """The new model in the form of the old one; ``added`` to it, if it came as a difference."""
        arrays = {
            name: np.asarray(updated[name].numpy() + (like if added else 0), like.dtype).reshape(like.shape)
            for name, like in self._model.items()
        }
        if bad := [
            name for name, array in arrays.items() if array.dtype.kind == "f" and not largest(array) < LIMIT
        ]:
            raise AggregationError(
                f"{type(self._strategy).__name__} makes '{bad[0]}' larger than {LIMIT:.0f}; take a smaller"
                " step size or less noise"
            )
        return record_from_arrays(arrays)


def _check(layer: Strategy) -> None:
    name = type(layer).__name__
    if type(layer) in _REFUSED:
        raise ConfigurationError(f"Flower's {name} can't be used here: {_REFUSED[type(layer)]}")
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
        layer.min_train_nodes = layer.min_available_nodes = 1  # Flower waits for them without end
    if isinstance(layer, flower.QFedAvg) and layer.train_loss_key != keys.LOSS:
        raise ConfigurationError(
            f"{name}.train_loss_key must be '{keys.LOSS}', which clients report, got '{layer.train_loss_key}'"
        )
    if isinstance(layer, (*_FIXED, *_ADAPTIVE)) and not isinstance(layer.strategy, Uniform):
        raise ConfigurationError(
            f"{name} must wrap a mean of equal weights, for which its noise is made, got"
            f" {type(layer.strategy).__name__}; set strategy.server.strategy._target_="
            f"{Uniform.__module__}.{Uniform.__name__}"
        )


def _bring_losses_near(replies: Sequence[Message]) -> None:
    losses = [TrainingReport.unpack(reply.content).loss for reply in replies]
    median = statistics.median(losses)
    for reply, loss in zip(replies, losses, strict=True):
        near = min(max(loss, median / _FURTHEST_LOSS), median * _FURTHEST_LOSS)
        records_of(reply.content, MetricRecord)[keys.METRICS][keys.LOSS] = near


def _fewest(layer: Strategy) -> int:
    """The fewest replies that a strategy can do its work with."""
    if isinstance(layer, flower.Bulyan):
        return 4 * layer.num_malicious_nodes + 3
    if isinstance(layer, flower.MultiKrum):
        return max(2 * layer.num_malicious_nodes + 3, layer.num_nodes_to_select)
    if isinstance(layer, flower.FedTrimmedAvg) and layer.beta > 0:
        return next(count for count in range(1, 10**6) if int(layer.beta * count) >= 1)
    return 1
