"""Promises: the weights of `loss_aware`, the same bits in any order of arrival, in any ServerApp."""

import json
import math
import random

import numpy as np
import pytest

from fedvsr_core.aggregation.weights import loss_aware
from fedvsr_core.errors import AggregationError
from server_app.strategies.fedvsr import FedVSR

LOSSES = [0.02, 0.06, 0.5, 0.021]


def round_of(sites, losses, server_round=1, num_rounds=10, order=None, **options):
    strategy = FedVSR(num_rounds=num_rounds, **options)
    sites.configure(strategy, server_round)
    order = range(len(losses)) if order is None else order
    arrays, metrics = strategy.aggregate_train(server_round, [sites.reply(k, loss=losses[k]) for k in order])
    return strategy, arrays, metrics


@pytest.mark.parametrize("server_round", [1, 5, 10])
@pytest.mark.parametrize("guard", [None, 1.1, 1.5])
def test_is_the_weighted_mean(sites, server_round, guard):
    strategy, arrays, metrics = round_of(sites, LOSSES, server_round, guard=guard)
    decided = loss_aware(LOSSES, progress=server_round / 10, guard=guard)
    found = strategy.diagnostics
    assert list(found["weights"].values()) == decided.weights.tolist()
    assert list(found["weights"]) == ["100", "101", "102", "103"]
    assert (found["hellinger"], found["mixing"]) == (decided.hellinger, decided.mixing)
    assert found["guarded"] == [str(100 + position) for position in decided.guarded]
    assert metrics["loss"] == pytest.approx(np.dot(np.arange(1, 5), LOSSES) / 10)  # by examples
    for name in sites.model:
        expected = sum(
            weight * sites.arrays(k)[name].astype(np.float64) for k, weight in enumerate(decided.weights)
        )
        np.testing.assert_allclose(arrays[name].numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_order_of_arrival_changes_no_bit(make_sites, seed):
    sites = make_sites(9)
    losses = [10.0 ** random.Random(k).uniform(-6, 3) for k in range(9)]
    order = random.Random(seed).sample(range(9), 9)
    expected, found = round_of(sites, losses), round_of(sites, losses, order=order)
    assert found[1] == expected[1]
    assert found[2] == expected[2]
    assert found[0].diagnostics == expected[0].diagnostics


def test_diagnostics_are_plain(sites):
    strategy, _, _ = round_of(sites, [1e-9, 0.02, 0.03, 0.04])
    assert json.loads(json.dumps(strategy.diagnostics))["guarded"] == ["100"]
    assert {type(weight) for weight in strategy.diagnostics["weights"].values()} == {float}


def test_uniform_in_the_last_round_and_after(sites):
    for server_round in (10, 11):
        strategy, _, _ = round_of(sites, LOSSES, server_round)
        assert set(strategy.diagnostics["weights"].values()) == {0.25}


@pytest.mark.parametrize("loss", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_a_client_without_a_sound_loss_is_left_out(sites, loss):
    strategy, arrays, _ = round_of(sites, [0.02, loss, 0.03])
    _, expected, _ = round_of(sites, [0.02, 0.0, 0.03], order=[0, 2])
    assert set(strategy.diagnostics["weights"]) == {"100", "102"}
    assert arrays == expected


@pytest.mark.parametrize("loss", [5e-324, 1e-30, 1e30, 1.7e308])
def test_absurd_losses_keep_within_the_guard(sites, loss):
    strategy, arrays, _ = round_of(sites, [0.02, loss, 0.03, 0.025])
    weights = strategy.diagnostics["weights"]
    assert sum(weights.values()) == pytest.approx(1)
    assert max(weights.values()) <= 1.5 / 4 * (1 + 1e-12)
    expected = sum(
        weight * sites.arrays(int(node) - 100)["conv.weight"].astype(np.float64)
        for node, weight in weights.items()
    )
    np.testing.assert_allclose(arrays["conv.weight"].numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_rounds": 0}, "num_rounds must be at least 1, got 0"),
        ({"num_rounds": 5, "threshold": 1.0}, r"threshold in \[0, 1\)"),
        ({"num_rounds": 5, "guard": 0.5}, "guard at least 1.* and 0.5"),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(AggregationError, match=message):
        FedVSR(**arguments)
