"""Promises: what secure rounds don't go together with is refused by a sentence, before anything is sent."""

import numpy as np
import pytest

from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError
from server_app.config import options
from server_app.secure_check import check_cohort, check_noise, check_secure, mean_of_shares
from server_app.strategies.stock import adapted
from server_app.strategies.uniform import Uniform
from server_app.updates import Update

SECURE = {
    "fedavg",
    "fedavg_ahead",
    "fedprox",
    "fedvsr",
    "fedvsr_ahead",
    "fedvsr_no_threshold",
    "fedvsr_unguarded",
    "high_frequency_only",
    "inverse_loss",
    "loss_aware_ahead",
    "loss_aware_only",
    "uniform_ahead",
}
"""The means whose weights each client can compute; all other strategies are refused."""


def of(settings):
    return adapted(build(settings.strategy.server, num_rounds=settings.rounds))


@pytest.mark.parametrize("strategy", options("strategy"))
def test_each_strategy_is_secure_or_refused_by_a_sentence(tiny, strategy):
    settings = tiny("secure.enabled=true", strategy)
    if strategy in SECURE:
        check_secure(settings, of(settings))
    else:
        with pytest.raises(ConfigurationError, match=r"^secure.enabled .*; take strategy=fedvsr_ahead"):
            check_secure(settings, of(settings))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ("training.upload=float16", "sends updates as integers, and training.upload=float16 as something"),
        ("evaluation.clients=1", "nothing of a single client, and evaluation.clients each one's scores"),
        ("cohort.clients_per_round=2", "needs at least 3 clients in a round, got 2"),
        ("+strategy.server.trim=0.1", "can't leave out extreme values"),
    ],
)
def test_so_is_what_shows_single_clients(tiny, overrides, sentence):
    settings = tiny(f"secure.enabled=true {overrides}")
    with pytest.raises(ConfigurationError, match=sentence):
        check_secure(settings, of(settings))
    plain = tiny(overrides)
    check_secure(plain, of(plain))


def test_a_subclass_with_weights_of_its_own_says_what_they_are_made_of():
    class ByLength(Uniform):
        def factor(self, update: Update) -> float:
            return update.model.norm

    with pytest.raises(ConfigurationError, match=r"strategy.server \(ByLength\) needs every client's"):
        mean_of_shares(ByLength(), 1)


def test_noise_beyond_the_clip_is_refused(tiny):
    sent = {"w": np.zeros(10_000, np.float32)}
    settings = tiny("secure.enabled=true privacy.epsilon=1", "fedavg")
    with pytest.raises(ConfigurationError, match=r"of a norm up to 79.2, and secure.clip = 64 shortens them"):
        check_noise(settings, sent)
    check_noise(tiny("secure.enabled=true privacy.epsilon=1 secure.clip=100", "fedavg"), sent)


def test_three_clients_are_enough():
    check_cohort(3)
