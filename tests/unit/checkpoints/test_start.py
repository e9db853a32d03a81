"""Promises: a run starts from the seed, a checkpoint, or weights of the flow network; the same everywhere."""

import torch

from fedvsr_core.checkpoints.pretrained import sha256_of
from fedvsr_core.checkpoints.start import initial_model
from fedvsr_core.checkpoints.store import save_model
from fedvsr_core.layers.spynet import SpyNet
from server_app.config import compose


def settings(overrides=""):
    return compose({"model": "basicvsr_small", "overrides": overrides})


def test_the_seed_decides():
    torch.manual_seed(5)
    first = initial_model(settings()).state_dict()
    torch.manual_seed(6)
    again, other = initial_model(settings().for_clients()).state_dict(), initial_model(settings("seed=1"))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv_last.weight"], other.state_dict()["conv_last.weight"])


def test_a_checkpoint_and_another_flow_network(tmp_path):
    start = initial_model(settings("seed=1"))
    save_model(tmp_path / "start.safetensors", start.state_dict(), settings().model)
    torch.manual_seed(7)
    flow = SpyNet()
    torch.save({"params": flow.state_dict()}, tmp_path / "spynet.pth")
    chosen = settings(
        f"start.weights={tmp_path}/start.safetensors flow.weights=/elsewhere/spynet.pth"
        f" flow.sha256={sha256_of(tmp_path / 'spynet.pth')}"
    )
    state = initial_model(chosen, folder=tmp_path).state_dict()
    for name, tensor in start.state_dict().items():
        expected = flow.state_dict()[name.removeprefix("spynet.")] if name.startswith("spynet.") else tensor
        assert torch.equal(state[name], expected), name
