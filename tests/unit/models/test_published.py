"""Promises: the published networks, to the precision of float32, under the names of their checkpoints."""

import json
from pathlib import Path

import pytest
import torch

from fedvsr_core.components import build
from fedvsr_core.models.basicvsr import BasicVSR
from fedvsr_core.models.basicvsrpp import BasicVSRPlusPlus
from fedvsr_core.models.iart import IART
from server_app.config import compose

CLASSES = {"basicvsr": BasicVSR, "basicvsrpp": BasicVSRPlusPlus, "iart": IART}
GOLDEN = Path(__file__).parents[2] / "golden" / "models"

NETWORKS = ["basicvsr_a_last_frame", "basicvsrpp_a_last_frame", "iart_b_last_frame"]
"""Golden values of this repository: SpyNet's flows instead of its weights, and the output's last frame."""
LARGER = ["basicvsr_a", "basicvsr_b", "basicvsrpp_a", "iart_b"]
LARGEST = ["basicvsrpp_b", "basicvsrpp_c_samesize", "iart_a"]
"""Golden values beside the repository: complete. The largest take seconds each."""
WITHOUT_GRADIENT = "implicit_warp.k.bias"
"""Its gradient is zero but for rounding: softmax doesn't see what all its arguments share."""


def class_of(name):
    return CLASSES[name.partition("_")[0]]


def check_norms(network, expected):
    norms = {
        name: None if parameter.grad is None else parameter.grad.norm().item()
        for name, parameter in network.named_parameters()
        if name in expected and name != WITHOUT_GRADIENT
    }
    assert len(norms) > 10
    assert norms == {
        name: None if norm is None else pytest.approx(norm, rel=1e-3, abs=1e-9)
        for name, norm in expected.items()
        if name != WITHOUT_GRADIENT
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_golden_with_its_flows(name, golden_tensors, monkeypatch):
    about = json.loads((GOLDEN / f"{name}.json").read_text())
    tensors = golden_tensors(name)
    network = class_of(name)(**about["config"]).eval()
    weights = {
        key.removeprefix("weight."): tensor for key, tensor in tensors.items() if key.startswith("weight.")
    }
    assert not set(weights) - set(network.state_dict())
    network.load_state_dict(network.state_dict() | weights)
    flows = tensors["flows_backward"], tensors["flows_forward"]
    monkeypatch.setattr(f"{class_of(name).__module__}.neighbour_flows", lambda spynet, frames: flows)

    high = network(tensors["input"])
    torch.testing.assert_close(high[:, -1:], tensors["output"], rtol=0, atol=about["tolerance"])
    loss = high.square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(about["loss"], rel=1e-4)
    check_norms(network, about["gradient_norms"])


@pytest.mark.parametrize("name", LARGER + [pytest.param(name, marks=pytest.mark.slow) for name in LARGEST])
def test_equals_the_larger_golden(name, golden_path, golden_tensors):
    about = json.loads(golden_path(f"{name}.json").read_text())

    def tensors(files):
        return golden_tensors(*(file.removesuffix(".safetensors") for file in files))

    network = class_of(name)(**about["config"]).eval()
    network.load_state_dict(tensors(about["state_dict_files"]))
    assert list(network.state_dict()) == about["state_dict_keys"]
    low = tensors(about["input"]["file"])["input"].requires_grad_()
    expected = torch.cat([tensors([file])["output"] for file in about["output"]["files"]], dim=1)

    high = network(low)
    torch.testing.assert_close(high, expected, rtol=0, atol=about["tolerance"]["max_abs"])
    loss = high.square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(about["grad_check"]["loss_value"], rel=1e-4)
    assert low.grad.norm().item() == pytest.approx(about["grad_check"]["input_grad_l2"], rel=1e-3)
    check_norms(network, about["grad_check"]["param_grad_l2"])


@pytest.mark.parametrize("name", CLASSES)
def test_names_shapes_and_parameters_are_as_published(name):
    keys = json.loads((GOLDEN / f"{name}_keys.json").read_text())
    network = build(compose({"model": name}).model)
    assert [[key, list(tensor.shape)] for key, tensor in network.state_dict().items()] == keys["state_dict"]
    assert (
        sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
        == keys["parameters"]
    )
    assert network.unused_parameters == set(keys["unused"])
    renamed = [network.rename_official(key) for key in keys.get("mmagic", [])]
    assert renamed in ([], list(network.state_dict()))
