"""Promises: all that a strategy of ``conf/`` keeps between rounds is what its ``state()`` gives."""

import numpy as np
import pytest

from fedvsr_core.components import build
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays
from server_app.config import compose, options
from server_app.strategies.stock import adapted
from tests.unit.server_app.sites import Received, Sites

CLIENTS, ROUNDS = 7, 3
REPEATABLE = [name for name in options("strategy") if not name.startswith("dp_")]
"""Noise for privacy is never seeded."""


def made(server):
    strategy = adapted(build(server, num_rounds=ROUNDS))
    strategy.prepare(clients=CLIENTS, cohort=CLIENTS)
    return strategy


def rounds_of(server, *, anew):
    """What each round sends and makes, by one strategy, or by a new one for each round."""
    sites, strategy, seen = Sites(CLIENTS), made(server), []
    model = sites.model
    for server_round in range(1, ROUNDS + 1):
        if anew:
            strategy, kept = made(server), strategy.state()
            strategy.load_state({key: np.array(array) for key, array in kept.items()})
        sent = strategy.outgoing(server_round, record_from_arrays(model), CLIENTS)
        generator = np.random.default_rng(server_round)
        replies = []
        for k in range(CLIENTS):
            moved = {
                key: np.asarray(array + 1e-2 * generator.standard_normal(array.shape), array.dtype)
                for key, array in model.items()
            }
            reply = sites.reply(k, arrays=moved)
            for extra in strategy.extra:
                changes = {key: np.asarray(moved[key] - model[key]) for key in model}
                reply.content[extra] = record_from_arrays(changes)
            replies.append(reply)
        received = Received(sites, replies, extra=strategy.extra).all()
        assert received.refused == []
        model = dict(strategy.combine(server_round, received.updates).arrays)
        model = {key: np.asarray(array, sites.model[key].dtype) for key, array in model.items()}
        seen.append((sent, model))
    return seen


COMPILED_ANEW = {"qfedavg", "krum", "multikrum", "bulyan"}
"""Their differences are float64, for which loops are compiled once more: seconds each."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in COMPILED_ANEW else ()) for name in REPEATABLE],
)
def test_a_new_one_goes_on_from_the_state_alone(name):
    server = compose({"strategy": name}).strategy.server
    whole, parts = rounds_of(server, anew=False), rounds_of(server, anew=True)
    for (sent, model), (sent_anew, anew) in zip(whole, parts, strict=True):
        assert sent == sent_anew
        assert sent.keys() >= {keys.ARRAYS}
        for key, array in model.items():
            np.testing.assert_array_equal(array, anew[key], err_msg=key)
