"""Golden values of networks: the comparison with what is stored, whole or as every n-th value."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

GOLDEN = Path(__file__).parents[1] / "golden" / "models"


def assert_golden(found, tensors, name, *, atol, rtol=0.0):
    """Compare with the tensor ``name``; of one that is stored as ``name/n``, with every n-th value."""
    if name in tensors:
        torch.testing.assert_close(found, tensors[name], rtol=rtol, atol=atol)
        return
    (stored,) = (key for key in tensors if key.startswith(f"{name}/"))
    every = int(stored.rpartition("/")[2])
    torch.testing.assert_close(found.flatten()[::every], tensors[stored], rtol=rtol, atol=atol)


def golden_network(network_class, name, flow_network=None):
    """A network of a golden file.

    Args:
        network_class: Its class; the json has the arguments.
        name: Of the files.
        flow_network: The file of SpyNet's weights, if the golden values were made through them.

    Returns:
        The network, the other tensors of the file, and the json.
    """
    about = json.loads((GOLDEN / f"{name}.json").read_text())
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    network = network_class(**about["config"]).eval()
    weights = {key: tensors.pop(key) for key in list(tensors) if key.startswith("weight.")}
    weights = {key.removeprefix("weight."): weight for key, weight in weights.items()}
    if flow_network:
        weights |= load_file(GOLDEN / f"{flow_network}.safetensors")
    learned = {key for key, _ in network.named_parameters() if flow_network or not key.startswith("spynet.")}
    assert set(weights) - {"spynet.mean", "spynet.std"} == learned
    network.load_state_dict(network.state_dict() | weights)
    return network, tensors, about


def assert_golden_gradients(network, high, about, *, loss_rtol, norm_rtol=1e-3, but=()):
    """Compare the norms of all gradients of mean(output^2); None stands for a weight that gets none."""
    loss = high.square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(about["loss"], rel=loss_rtol)
    expected = {name: norm for name, norm in about["gradient_norms"].items() if name not in but}
    assert len(expected) > 10
    gradients = {name: parameter.grad for name, parameter in network.named_parameters() if name in expected}
    norms = {
        name: None if gradient is None else gradient.norm().item() for name, gradient in gradients.items()
    }
    assert norms == {
        name: norm if norm is None else pytest.approx(norm, rel=norm_rtol, abs=1e-9)
        for name, norm in expected.items()
    }
