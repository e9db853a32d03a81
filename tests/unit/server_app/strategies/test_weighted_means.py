"""Promises: means by examples, by nothing and by one over the loss."""

import numpy as np
import pytest

from server_app.strategies.fedavg import FedAvg
from server_app.strategies.inverse_loss import InverseLoss
from server_app.strategies.uniform import Uniform

# client k has 10 * (k + 1) examples and a loss of 0.02 * (k + 1)
CASES = [
    (FedAvg, [1 / 6, 2 / 6, 3 / 6]),
    (Uniform, [1 / 3, 1 / 3, 1 / 3]),
    (InverseLoss, [6 / 11, 3 / 11, 2 / 11]),
]


@pytest.mark.parametrize(("make", "weights"), CASES, ids=["fedavg", "uniform", "inverse"])
def test_by_hand(make, weights, sites):
    strategy = make()
    sites.configure(strategy)
    arrays, _ = strategy.aggregate_train(1, [sites.reply(k) for k in (2, 0, 1)])
    assert strategy.diagnostics == {
        "weights": pytest.approx(dict(zip(("100", "101", "102"), weights, strict=True)))
    }
    for name in sites.model:
        expected = sum(weight * sites.arrays(k)[name].astype(np.float64) for k, weight in enumerate(weights))
        np.testing.assert_allclose(arrays[name].numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("examples", [0, -3, 2**31, float("nan"), float("inf")])
def test_fedavg_leaves_out_impossible_counts(examples, sites):
    strategy = FedAvg()
    sites.configure(strategy)
    replies = [
        sites.foreign_reply(0, **{"num-examples": 5}),
        sites.foreign_reply(1, **{"num-examples": examples}),
    ]
    strategy.aggregate_train(1, replies)
    assert strategy.diagnostics["weights"] == {"100": 1.0}


@pytest.mark.parametrize("loss", [0.0, -1.0, float("nan"), float("inf")])
def test_inverse_loss_leaves_out_impossible_losses(loss, sites):
    strategy = InverseLoss()
    sites.configure(strategy)
    strategy.aggregate_train(1, [sites.foreign_reply(0, loss=0.5), sites.foreign_reply(1, loss=loss)])
    assert strategy.diagnostics["weights"] == {"100": 1.0}
