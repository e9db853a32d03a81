"""Promises: the published networks, to the precision of float32, under the names of their checkpoints."""

import json

import pytest

from fedvsr_core.components import build
from fedvsr_core.models.basicvsr import BasicVSR
from fedvsr_core.models.basicvsrpp import BasicVSRPlusPlus
from fedvsr_core.models.iart import IART
from server_app.config import compose
from tests.unit.golden import GOLDEN, assert_golden, assert_golden_gradients, golden_network

CLASSES = {"basicvsr": BasicVSR, "basicvsrpp": BasicVSRPlusPlus, "iart": IART}

NETWORKS = ["basicvsr_a", "basicvsr_b", "basicvsrpp_a", "basicvsrpp_c_samesize", "iart_b"]
"""Golden values with the flows that SpyNet gave, instead of its weights."""
WITHOUT_GRADIENT = "implicit_warp.k.bias"
"""Its gradient is zero but for rounding: softmax doesn't see what all its arguments share."""


def class_of(name):
    return CLASSES[name.partition("_")[0]]


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_golden_with_its_flows(name, monkeypatch):
    network, tensors, about = golden_network(class_of(name), name)
    flows = tensors["flows_backward"], tensors["flows_forward"]
    monkeypatch.setattr(f"{class_of(name).__module__}.neighbour_flows", lambda spynet, frames: flows)
    high = network(tensors["input"] / 255)
    assert_golden(high, tensors, "output", atol=about["tolerance"])
    assert_golden_gradients(network, high, about, loss_rtol=1e-4, but=[WITHOUT_GRADIENT])


@pytest.mark.parametrize("name", CLASSES)
def test_names_shapes_and_parameters_are_as_published(name):
    keys = json.loads((GOLDEN / f"{name}_keys.json").read_text())
    network = build(compose({"model": name}).model)
    assert [[key, list(one.shape)] for key, one in network.state_dict().items()] == keys["state_dict"]
    assert sum(one.numel() for one in network.parameters() if one.requires_grad) == keys["parameters"]
    assert network.unused_parameters == set(keys["unused"])
    renamed = [network.rename_official(key) for key in keys.get("mmagic", [])]
    assert renamed in ([], list(network.state_dict()))
