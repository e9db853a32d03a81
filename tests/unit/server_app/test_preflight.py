"""Promises: what no client could train with is refused in a sentence, and a trial step leaves no trace."""

import pytest
import torch

from fedvsr_core.checkpoints.start import initial_model
from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError
from server_app import preflight
from server_app.config import compose, options
from server_app.preflight import check_parts
from server_app.strategies.stock import adapted

TINY = "model.width=4 model.blocks=1 training.patch=8 training.window=2 training.batch=1"


@pytest.fixture
def check():
    """Checks the parts of a configuration; returns them and the network."""

    def parts(overrides="", tiny=TINY, **choices):
        settings = compose({"data": "synthetic", "overrides": f"{tiny} {overrides}", **choices})
        model = initial_model(settings)
        strategy = adapted(build(settings.strategy.server, num_rounds=settings.rounds))
        check_parts(settings, model, strategy)
        return settings, model

    return parts


@pytest.mark.parametrize("strategy", options("strategy"))
def test_every_strategy_takes_the_step(check, strategy):
    check(strategy=strategy)


@pytest.mark.parametrize("model", ["basicvsr_small", "basicvsrpp_small", "iart_small", "rvrt_small"])
def test_small_networks_take_the_step(check, model):
    check(tiny="training.patch=8 training.window=2", model=model)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_at_any_scale(check, scale):
    check(f"degradation.scale={scale}")


@pytest.mark.parametrize(
    "overrides", ["training.precision=float16", "training.clip_norm=0.1", "training.epochs=0.5"]
)  # fmt: skip
def test_however_clients_train(check, overrides):
    check(overrides)


def test_the_step_leaves_no_trace(check):
    settings, model = check(strategy="fedsr")
    torch.manual_seed(0)
    before = torch.get_rng_state()
    check_parts(settings, model, adapted(build(settings.strategy.server)))
    assert torch.equal(torch.get_rng_state(), before)
    fresh = initial_model(settings)
    assert model.training == fresh.training
    for (name, own), (_, theirs) in zip(model.named_parameters(), fresh.named_parameters(), strict=True):
        assert torch.equal(own, theirs), name
        assert own.grad is None
        assert own.requires_grad
    assert not model._forward_pre_hooks


def test_it_is_a_step_of_the_real_parts(check, monkeypatch):
    seen = []

    def train_round(model, objective, settings, start):
        seen.append((type(objective).__name__, start.loss, settings, start.batches))
        return trained(model, objective, settings, start)

    trained = preflight.train_round
    monkeypatch.setattr(preflight, "train_round", train_round)
    settings, _ = check("degradation.scale=2", strategy="fedprox")
    ((objective, loss, sent, batches),) = seen
    assert objective == "Proximal"
    assert list(loss.losses) == ["charbonnier"]
    assert sent == settings.for_clients()
    assert [one.shape for one in batches[0]] == [(1, 2, 3, 8, 8), (1, 2, 3, 16, 16)]


def test_a_large_network_is_not_run(check, monkeypatch, caplog):
    caplog.set_level("INFO", "server_app")
    monkeypatch.setattr(preflight, "LARGEST", 1000)
    monkeypatch.setattr(preflight, "train_round", pytest.fail)
    check()
    assert "the network is large: no step is tried before the clients are asked" in caplog.messages


@pytest.mark.parametrize(
    ("overrides", "choices", "sentence"),
    [
        ("optimiser.lr=1e9", {}, r"^training diverges at its first step, to a loss of .*: lower optim"),
        ("optimiser=sgd optimiser.lr=1e12", {}, "^training diverges at its first step"),
        ("loss.parts.charbonnier.weight=0", {"strategy": "fedavg"}, "^loss must be > 0, .* got 0 for two"),
        ("loss.parts.charbonnier.weight=1e9", {}, r"^loss must be > 0, at most screening.max_loss = 1e.06, "),
        ("screening.max_loss=1e-6", {}, r"^loss must be > 0, at most screening\.max_loss = 1e-06"),
        ("strategy.client.layer=nowhere", {"strategy": "fedsr"}, "^layer must name a part of the model"),
        ("strategy.client.width=1000000000", {"strategy": "fedsr"}, "parameters need .* GB and more, but"),
        ("training.batch=1000000000", {}, r"^a batch of training takes .* GB before .*; lower training"),
        ("training.window=1000000000", {}, "^a batch of training takes"),
        ("training.patch=1000000000", {}, "^a batch of training takes"),
        ("model.scale=2", {}, "^degradation.scale must be 2, as that of 'recurrent', got 4"),
        (
            "strategy.client._target_=client_app.objectives.plain.Plain ~strategy.client.option",
            {"strategy": "scaffold"},
            "^strategy.server needs control-variates from each client, which strategy.client doesn't",
        ),
        (
            "optimiser._target_=torch.optim.LBFGS ~optimiser.betas ~optimiser.weight_decay",
            {},
            "^a step of training fails with this model, loss, .*: TypeError: .*closure",
        ),
        (
            "loss.parts.charbonnier.loss._target_=fedvsr_core.models.recurrent.Recurrent"
            " ~loss.parts.charbonnier.loss.eps +loss.parts.charbonnier.loss.width=4"
            " +loss.parts.charbonnier.loss.blocks=1 +loss.parts.charbonnier.loss.scale=4",
            {},
            "^a step of training fails with this model, loss, optimiser and strategy, and would at each",
        ),
    ],
    ids=str,
)  # fmt: skip
def test_what_no_client_could_train_with(check, overrides, choices, sentence):
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        check(overrides, **choices)
    assert "\n" not in str(caught.value)


def test_a_window_that_the_network_cannot_take(check):
    with pytest.raises(
        ConfigurationError, match=r"^training\.window must be at least 2 for 'rvrt_small', got 1"
    ):
        check(tiny="training.window=1", model="rvrt_small")
