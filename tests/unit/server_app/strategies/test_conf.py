"""Promises: the yamls of the method and its ablations compose, build, and say how to run them."""

from pathlib import Path

import pytest

from fedvsr_core.components import build
from server_app.config import compose
from server_app.strategies.base import RoundStrategy
from server_app.strategies.stock import adapted

FOLDER = Path("conf/strategy")
BOTH = {"charbonnier", "high-frequency"}
OURS = {  # and the parts of the loss that each brings
    "fedavg": {"charbonnier"},
    "fedvsr": BOTH,
    "fedvsr_no_threshold": BOTH,
    "fedvsr_unguarded": BOTH,
    "high_frequency_only": BOTH,
    "inverse_loss": {"charbonnier"},
    "loss_aware_only": {"charbonnier"},
}


@pytest.mark.parametrize(("name", "parts"), OURS.items())
def test_builds(name, parts):
    settings = compose({"strategy": name})
    assert set(settings.loss["parts"]) == parts
    assert isinstance(build(settings.strategy.server, num_rounds=5), RoundStrategy)
    assert settings.strategy.client["_target_"] == "client_app.objectives.plain.Plain"
    head = [line for line in (FOLDER / f"{name}.yaml").read_text().splitlines() if line.startswith("#")]
    assert any(f"flwr run . --run-config 'strategy=\"{name}\"'" in line for line in head)


def test_another_loss_may_be_chosen():
    settings = compose({"strategy": "fedvsr", "overrides": "loss=charbonnier"})
    assert set(settings.loss["parts"]) == {"charbonnier"}


def test_unguarded_is_the_papers_formula():
    assert compose({"strategy": "fedvsr_unguarded"}).strategy.server == {
        "_target_": "server_app.strategies.fedvsr.FedVSR",
        "threshold": 0.05,
        "guard": None,
    }


@pytest.mark.parametrize(
    ("name", "needs_losses", "clips"),
    [
        ("fedvsr", True, False),
        ("inverse_loss", True, False),
        ("qfedavg", True, False),
        ("fedavg", False, False),
        ("fedadam", False, False),
        ("dp_fixed", False, True),
        ("dp_adaptive", False, True),
    ],
)
def test_what_privacy_needs_to_know_of_a_strategy(name, needs_losses, clips):
    strategy = adapted(build(compose({"strategy": name}).strategy.server, num_rounds=3))
    assert (strategy.needs_loss, strategy.clips) == (needs_losses, clips)
