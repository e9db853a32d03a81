"""Promises: with momentum, clients start a step ahead of the mean, and the mean is what counts."""

import math
import re

import numpy as np
import pytest
from flwr.app import ArrayRecord
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.errors import AggregationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays, to_arrays
from server_app.aggregation.values import InMemory
from server_app.strategies.fedavg import FedAvg
from server_app.strategies.fedvsr import FedVSR
from server_app.strategies.inverse_loss import InverseLoss
from server_app.strategies.uniform import Uniform
from server_app.strategies.weighted_mean import WeightedMean
from server_app.updates import Measured, Update

MEANS = {
    "fedavg": FedAvg,
    "uniform": Uniform,
    "inverse_loss": InverseLoss,
    "fedvsr": lambda **options: FedVSR(num_rounds=5, **options),
}
means = pytest.mark.parametrize("make", MEANS.values(), ids=MEANS)


def update(client="a", **arrays):
    values = {name: np.asarray(array) for name, array in arrays.items()}
    model = Measured(InMemory(values), 0.0)
    return Update(client=client, node=1, model=model, examples=math.nan, loss=math.nan)


def round_of(strategy, server_round, w, client):
    """One round with one client: what it was sent, and the new model; None without a client."""
    sent = strategy.outgoing(server_round, record_from_arrays({"w": w}), 1)[keys.ARRAYS]
    y = to_arrays(sent)["w"]
    combined = strategy.combine(server_round, [update(w=client(y))] if client else [])
    return y, None if combined is None else dict(combined.arrays)["w"]


@given(
    momentum=st.sampled_from([0.0, 0.3, 0.8, 0.95]),
    shrink=st.floats(0.05, 0.95),
    start=st.floats(-8, 8),
    rounds=st.integers(1, 12),
)
def test_one_client_on_a_quadratic_follows_the_closed_form(momentum, shrink, start, rounds):
    # A client that moves to shrink * y makes W_{r+1} = shrink * ((1 + m) W_r - m W_{r-1}): a matrix power,
    # from two equal models, since the first round has no step.
    strategy, w = Uniform(momentum=momentum), np.asarray([start])
    for server_round in range(1, rounds + 1):
        _, w = round_of(strategy, server_round, w, lambda y: shrink * y)
    step = np.array([[shrink * (1 + momentum), -shrink * momentum], [1, 0]])
    closed = (np.linalg.matrix_power(step, rounds) @ [start, start])[0]
    np.testing.assert_allclose(w[0], closed, rtol=1e-9, atol=1e-12)


@means
def test_without_momentum_it_is_the_plain_mean_to_the_bit(make, sites):
    plain, zero = make(), make(momentum=0.0)
    for strategy in (plain, zero):
        assert strategy.outgoing(1, sites.reference, 3)[keys.ARRAYS] == sites.reference
        sites.configure(strategy)
    results = [
        strategy.aggregate_train(1, [sites.reply(k) for k in range(3)])[0] for strategy in (plain, zero)
    ]
    assert results[0] == results[1]
    assert zero.state() == {}


@means
def test_two_rounds_by_hand(make, sites):
    # Whatever the mean does with y, it is the mean that is handed on, and the step is taken from means alone.
    strategy, model = make(momentum=0.5), sites.reference
    before = to_arrays(model)
    sites.configure(strategy, 1, model)
    model, _ = strategy.aggregate_train(1, [sites.reply(k) for k in range(3)])
    sent = to_arrays(sites.configure(strategy, 2, model)[0].content["arrays"])
    for name, now in to_arrays(model).items():
        np.testing.assert_array_equal(sent[name], now + np.float32(0.5) * (now - before[name]))
        assert sent[name].dtype == now.dtype
    again, _ = strategy.aggregate_train(2, [sites.reply(k) for k in range(3)])
    assert {name: array.numpy().tolist() for name, array in again.items()} == {
        name: array.numpy().tolist() for name, array in mean_without(make, sites, model, 2).items()
    }


def mean_without(make, sites, model, server_round):
    strategy = make()
    sites.configure(strategy, server_round, model)
    return strategy.aggregate_train(server_round, [sites.reply(k) for k in range(3)])[0]


def test_a_lost_round_keeps_the_step():
    strategy, w = Uniform(momentum=0.5), np.asarray([1.0])
    _, w = round_of(strategy, 1, w, lambda y: y + 1)
    y, nothing = round_of(strategy, 2, w, None)
    assert (y, nothing) == ([2.5], None)
    assert round_of(strategy, 3, w, lambda y: y)[0] == [2.5]


def test_what_a_refused_round_did_is_taken_back():
    strategy, w = Uniform(momentum=0.5), np.asarray([1.0])
    _, w = round_of(strategy, 1, w, lambda y: y + 1)
    strategy.outgoing(2, record_from_arrays({"w": w}), 1)
    before = strategy.state()
    strategy.combine(2, [update(w=w + 7)])
    strategy.load_state(before)  # as the round loop does where too few replies are sound
    assert round_of(strategy, 3, w, lambda y: y)[0] == [2.5]


def test_an_array_that_begins_to_travel_has_no_step():
    strategy, w = Uniform(momentum=0.5), np.asarray([1.0])
    _, w = round_of(strategy, 1, w, lambda y: y + 1)
    both = ArrayRecord({**record_from_arrays({"w": w, "late": np.asarray([4.0])})})
    sent = to_arrays(strategy.outgoing(2, both, 1)[keys.ARRAYS])
    assert (sent["w"], sent["late"]) == ([2.5], [4.0])


def test_integers_stay_and_the_order_too():
    strategy = Uniform(momentum=0.5)
    first = record_from_arrays({"count": np.asarray([3]), "w": np.asarray([1.0])})
    second = record_from_arrays({"count": np.asarray([9]), "w": np.asarray([2.0])})
    strategy.outgoing(1, first, 1)
    strategy.combine(1, [update(w=[2.0])])
    sent = to_arrays(strategy.outgoing(2, second, 1)[keys.ARRAYS])
    assert list(sent) == ["count", "w"]
    assert (sent["count"], sent["w"]) == ([9], [2.5])


def test_its_state_is_the_model_before(sites):
    strategy = Uniform(momentum=0.8)
    assert strategy.state() == {}
    sites.configure(strategy)
    strategy.aggregate_train(1, [sites.reply(0)])
    kept = strategy.state()
    assert kept.keys() == {f"before/{name}" for name in sites.model}
    again = Uniform(momentum=0.8)
    again.load_state(kept)
    model = record_from_arrays(sites.arrays(0))
    assert again.outgoing(2, model, 1) == strategy.outgoing(2, model, 1)
    with pytest.raises(AggregationError, match=r"^Uniform keeps no state, got \['before/"):
        Uniform().load_state(kept)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, 3.0, float("nan")])
def test_a_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(AggregationError, match=re.escape(f"momentum must be in [0, 1), got {momentum}")):
        Uniform(momentum=momentum)


CLIENTS = {"a": [1.0, 9.0], "b": [2.0, -50.0], "c": [4.0, 1.0], "d": [900.0, 2.0]}


def trimmed(trim, clients, make=Uniform):
    strategy = make(trim=trim)
    strategy.outgoing(1, record_from_arrays({"w": np.zeros(2)}), len(clients))
    combined = strategy.combine(1, [update(client, w=w) for client, w in clients.items()])
    return dict(combined.arrays)["w"]


def test_a_trimmed_mean_by_hand():
    assert trimmed(0.25, CLIENTS).tolist() == [3.0, 1.5]  # of 2 and 4, and of 1 and 2
    assert trimmed(0.25, dict(list(CLIENTS.items())[:3])).tolist() == [2.0, 1.0]  # rounded up: the median
    assert trimmed(0.25, dict(list(CLIENTS.items())[:2])).tolist() == [1.5, -20.5]  # nobody to leave out
    assert trimmed(0.0, CLIENTS).tolist() == [226.75, -9.5]


def test_those_that_are_left_keep_the_ratio_of_their_weights():
    class Counted(WeightedMean):
        def factor(self, update):
            return {"a": 1.0, "b": 2.0, "c": 6.0, "d": 100.0}[update.client]

    assert trimmed(0.25, CLIENTS, Counted)[0] == pytest.approx((2 * 2 + 6 * 4) / 8)


@given(
    honest=st.lists(st.floats(-1, 1), min_size=3, max_size=9), lies=st.lists(st.floats(-1e6, 1e6), min_size=3)
)
def test_a_minority_stays_within_what_the_others_send(honest, lies):
    clients = {f"h{k}": [value, 0.0] for k, value in enumerate(honest)}
    fewest = int(0.25 * len(honest) / 0.75)
    clients |= {f"x{k}": [value, 0.0] for k, value in enumerate(lies[:fewest])}
    assert min(honest) - 1e-12 <= trimmed(0.25, clients)[0] <= max(honest) + 1e-12


@pytest.mark.parametrize("trim", [-0.1, 0.5, float("nan")])
def test_a_trim_out_of_range_is_refused(trim):
    with pytest.raises(AggregationError, match=re.escape(f"trim must be in [0, 0.5), got {trim}")):
        Uniform(trim=trim)
