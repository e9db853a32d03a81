"""Promises: what learns in a round travels, nothing else does, and the digest covers what stays."""

import pytest
import torch

from fedvsr_core.flower.travelling import frozen_digest, travelling
from fedvsr_core.models.basicvsr import BasicVSR
from fedvsr_core.models.iart import IART


@pytest.fixture
def model():
    torch.manual_seed(0)
    return BasicVSR(num_feat=4, num_block=1)


def test_what_travels(model):
    learns, frozen = travelling(model, frozen=False), travelling(model, frozen=True)
    assert set(learns) == {name for name, _ in model.named_parameters()}  # no constants
    assert set(learns) - set(frozen) == {name for name in learns if name.startswith("spynet.")}
    assert sum(learns[name].numel() for name in set(learns) - set(frozen)) == 1_440_300


def test_what_is_never_used_never_travels():
    network = IART(mid_channels=4, embed_dim=8, depths=[1], num_heads=[2], window_size=[1, 2, 2])
    sent = set(travelling(network, frozen=False))
    assert sent == {name for name, _ in network.named_parameters()} - network.unused_parameters


@pytest.mark.parametrize(
    ("changed", "frozen", "same"),
    [
        ("spynet.basic_module.0.basic_module.0.bias", True, False),
        ("spynet.basic_module.0.basic_module.0.bias", False, True),
        ("spynet.mean", False, False),
        ("conv_last.bias", True, True),
    ],
)
def test_the_digest_is_of_what_does_not_travel(model, changed, frozen, same):
    before = frozen_digest(model, frozen=frozen)
    model.state_dict()[changed][0] += 1
    assert (frozen_digest(model, frozen=frozen) == before) is same
