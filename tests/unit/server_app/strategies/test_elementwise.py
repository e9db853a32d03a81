"""Promises: median, mid-range, furthest and nearest values, as by hand, whatever the order of the clients."""

import numpy as np
import pytest

from fedvsr_core.flower.arrays import to_arrays
from server_app.strategies.elementwise import FedMedian, MaxDifference, MinDifference, MinMax
from server_app.strategies.layer_similarity import LayerSimilarity

# Global values 0, 0, 5; clients (1, -4, 5), (2, 3, 4), (-3, 1, 9), (8, 4, 6).
CLIENTS = np.array([[1, -4, 5], [2, 3, 4], [-3, 1, 9], [8, 4, 6]], np.float32)
GLOBAL = np.array([0, 0, 5], np.float32)
EXPECTED = {
    FedMedian: [1.5, 2.0, 5.5],
    MinMax: [2.5, 0.0, 6.5],
    MaxDifference: [8, 4, 9],  # |-4| = |4|: the larger
    MinDifference: [1, 1, 5],
}


def combined(sites, strategy, updates, before=GLOBAL):
    sites.model = {"w": before}
    sites.configure(strategy)
    replies = [sites.reply(k, arrays={"w": update}) for k, update in enumerate(updates)]
    return to_arrays(strategy.aggregate_train(1, replies)[0])["w"]


@pytest.mark.parametrize("strategy", EXPECTED, ids=lambda strategy: strategy.__name__)
def test_values_by_hand(sites, strategy):
    assert combined(sites, strategy(), CLIENTS).tolist() == EXPECTED[strategy]


@pytest.mark.parametrize("strategy", [*EXPECTED, LayerSimilarity], ids=lambda strategy: strategy.__name__)
def test_the_order_of_clients_does_not_matter(sites, strategy):
    updates = np.random.default_rng(0).standard_normal((4, 50)).astype(np.float32)
    before = updates.mean(axis=0)
    one = combined(sites, strategy(), updates, before)
    assert (combined(sites, strategy(), updates[[2, 0, 3, 1]], before) == one).all()


@pytest.mark.parametrize("strategy", [*EXPECTED, LayerSimilarity], ids=lambda strategy: strategy.__name__)
def test_one_client_makes_the_model(sites, strategy):
    np.testing.assert_allclose(combined(sites, strategy(), CLIENTS[:1]), CLIENTS[0], rtol=1e-6)


def test_similar_layers_count_more_by_hand(sites):
    # To (1, 0): (3, 4) has the cosine 0.6, (2, 0) has 1, (-1, 0) counts as 0.
    updates = np.array([[3, 4], [2, 0], [-1, 0]], np.float32)
    strategy = LayerSimilarity()
    found = combined(sites, strategy, updates, np.array([1, 0], np.float32))
    np.testing.assert_allclose(found, [(0.6 * 3 + 2) / 1.6, 0.6 * 4 / 1.6], rtol=1e-6)
    assert list(strategy.diagnostics["weights"].values()) == pytest.approx([0.375, 0.625, 0])


def test_a_layer_that_is_zero_is_averaged(sites):
    found = combined(sites, LayerSimilarity(), CLIENTS, np.zeros(3, np.float32))
    np.testing.assert_allclose(found, CLIENTS.mean(axis=0), rtol=1e-6)
