"""Promises: the weighted sum of its parts, each part by name before its weight; conf/loss builds it."""

from pathlib import Path

import pytest
import torch
from torch import nn

from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.losses.charbonnier import Charbonnier
from fedvsr_core.losses.weighted_sum import WeightedSum
from server_app.config import compose, options


class Constant(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, output, target):
        return output.sum() * 0 + self.value


def test_by_hand():
    loss = WeightedSum(
        parts={"one": {"weight": 2.0, "loss": Constant(3.0)}, "two": {"weight": 0.5, "loss": Constant(4.0)}}
    )
    output = torch.zeros(1, requires_grad=True)
    total, parts = loss(output, output)
    assert total.item() == 2 * 3 + 0.5 * 4
    assert {name: value.item() for name, value in parts.items()} == {"one": 3.0, "two": 4.0}
    assert total.requires_grad
    assert not any(value.requires_grad for value in parts.values())


@pytest.mark.parametrize(
    ("parts", "message"),
    [({}, "got no parts"), ({"wrong": {"weight": -1.0, "loss": Charbonnier()}}, r"got \['wrong'\]")],
    ids=["empty", "negative"],
)
def test_refuses(parts, message):
    with pytest.raises(ConfigurationError, match=message):
        WeightedSum(parts=parts)


def test_every_configured_loss():
    names = options("loss")
    assert set(names) == {path.stem for path in Path("conf/loss").glob("*.yaml")} >= {"charbonnier", "fedvsr"}
    clip = torch.rand(1, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    for name in names:
        settings = compose({"strategy": "fedavg", "overrides": f"loss={name}"}).loss
        total, parts = build(settings)(clip, clip.roll(1, 0) + 0.1)
        assert set(parts) == set(settings["parts"])
        assert torch.isfinite(total)


def test_the_papers_objective():
    # both weights are 1, and at equality each part is the root of eps
    clip = torch.zeros(1, 2, 3, 4, 4)
    total, parts = build(compose({"strategy": "fedvsr"}).loss)(clip, clip)
    assert set(parts) == {"charbonnier", "high-frequency"}
    assert total.item() == pytest.approx(2 * 1e-9**0.5, rel=1e-6)
