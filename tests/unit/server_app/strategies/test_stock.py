"""Promises: Flower's strategies do what their papers say, where its classes need help for that."""

import numpy as np
import pytest
from flwr.serverapp import strategy as flower

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays
from server_app.strategies.adaptive_clipping import AdaptiveClipping
from server_app.strategies.stock import Stock
from server_app.strategies.uniform import Uniform
from tests.unit.server_app.sites import Received

LARGE, SIZE = 1_000_000, 0.05


def one_round(strategy, sites, model, moves, **reports):
    """What a strategy makes of clients that return the model and a move each."""
    sites.model = model
    replies = [
        sites.reply(k, arrays={name: model[name] + move[name] for name in model}, **reports.get(f"c{k}", {}))
        for k, move in enumerate(moves)
    ]
    strategy.outgoing(1, record_from_arrays(model), len(moves))
    updates = Received(sites, replies).all().updates
    return dict(strategy.combine(1, updates).arrays)


def moves_of(clients, shape, size, seed=0):
    generator = np.random.default_rng(seed)
    common = generator.standard_normal(shape)
    return [
        {"w": np.float32(size * (common + 0.5 * generator.standard_normal(shape)))} for _ in range(clients)
    ]


@pytest.mark.parametrize("size", [1e-3, 1e-5])
@pytest.mark.parametrize("seed", range(3))
def test_krum_finds_the_liar_among_small_updates_of_large_weights(make_sites, size, seed):
    sites = make_sites(5)
    model = {"w": np.random.default_rng(9).standard_normal(LARGE).astype(np.float32) * np.float32(SIZE)}
    moves = moves_of(5, LARGE, size, seed)
    moves[2] = {"w": -3 * moves[2]["w"]}
    found = one_round(Stock(flower.Krum(num_malicious_nodes=1)), sites, model, moves)["w"]
    chosen = [bool(np.array_equal(found, model["w"] + move["w"])) for move in moves]
    assert sum(chosen) == 1
    assert not chosen[2]


def test_multikrum_is_a_plain_mean_whatever_a_client_counts(make_sites):
    sites, model = make_sites(5), {"w": np.zeros(50, np.float32)}
    moves = moves_of(5, 50, 1e-2)
    moves[4] = {"w": moves[4]["w"] + 1}
    strategy = Stock(flower.MultiKrum(num_malicious_nodes=1, num_nodes_to_select=4))
    found = one_round(strategy, sites, model, moves, c1={"examples": 10_000_000})["w"]
    np.testing.assert_allclose(found, np.mean([move["w"] for move in moves[:4]], axis=0), rtol=1e-6)


def test_bulyan_by_hand(make_sites):
    # seven equal scalars but one: five are selected, and the three nearest to their median averaged
    sites, model = make_sites(7), {"w": np.full(1, 10, np.float32)}
    moves = [{"w": np.float32([value])} for value in (1, 1.1, 1.2, 1.3, 1.4, 1.5, 900)]
    found = one_round(Stock(flower.Bulyan(num_malicious_nodes=1)), sites, model, moves)["w"]
    assert 11.1 < found[0] < 11.4


def test_a_tiny_loss_doesn_t_stop_qfedavg(make_sites):
    sites, model = make_sites(3), {"w": np.zeros(20, np.float32)}
    strategy = Stock(flower.QFedAvg(q=0.1, client_learning_rate=0.1, train_loss_key=keys.LOSS))
    moves = moves_of(3, 20, 1e-2)
    honest = one_round(strategy, sites, model, moves)["w"]
    lying = one_round(strategy, sites, model, moves, c1={"loss": 1e-12})["w"]
    assert np.linalg.norm(lying) > 0.2 * np.linalg.norm(honest)


@pytest.mark.parametrize("norm", [0.01, 1.0])
def test_an_adaptive_clipping_norm_goes_to_the_median(make_sites, norm):
    sites, model = make_sites(9), {"w": np.zeros(4, np.float32)}
    clipping = AdaptiveClipping(
        strategy=Uniform(), noise_multiplier=0.0, num_sampled_clients=9, clipped_count_stddev=0.0
    )
    strategy = Stock(clipping)
    moves = [{"w": np.float32([norm * (0.6 + 0.1 * k), 0, 0, 0])} for k in range(9)]  # median: norm
    for _ in range(150):
        one_round(strategy, sites, model, moves)
    assert clipping.clipping_norm == pytest.approx(norm, rel=0.15)


def test_noise_is_that_for_the_norm_that_clipped(make_sites, monkeypatch):
    sites, model = make_sites(4), {"w": np.zeros(4, np.float32)}
    clipping = AdaptiveClipping(
        strategy=Uniform(), noise_multiplier=0.1, num_sampled_clients=4, clipped_count_stddev=1.0
    )
    asked = []
    monkeypatch.setattr(
        "flwr.serverapp.strategy.dp_adaptive_clipping.compute_stdv", lambda *args: asked.append(args) or 0.0
    )
    one_round(Stock(clipping), sites, model, moves_of(4, 4, 1.0))
    assert [args[1] for args in asked] == [0.1]
    assert clipping.clipping_norm > 0.1


def test_too_little_noise_on_the_count_is_refused():
    with pytest.raises(ConfigurationError, match=r"below twice clipped_count_stddev, got 1.0 and 0.5"):
        AdaptiveClipping(
            strategy=Uniform(), noise_multiplier=1.0, num_sampled_clients=10, clipped_count_stddev=None
        )


def test_flowers_own_adaptive_clipping_is_refused():
    theirs = flower.DifferentialPrivacyServerSideAdaptiveClipping(Uniform(), 0.0, 4)
    with pytest.raises(ConfigurationError, match=r"moves away from the quantile; take .*AdaptiveClipping$"):
        Stock(theirs)
