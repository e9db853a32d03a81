"""Promises: the term of the paper on the layer's features, a trained head, and both kept between rounds."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from flwr.app import RecordDict
from torch import nn
from torch.utils.checkpoint import checkpoint

from client_app.client_state import ClientState
from client_app.objectives.contrastive import Contrastive
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.training.local import train
from fedvsr_core.training.objective import Start

LOW = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.frozen = nn.Conv2d(3, 3, 1).requires_grad_(False)
        self.shallow = nn.Conv2d(3, 4, 3)
        self.deep = nn.Conv2d(4, 3, 3)

    def forward(self, low):
        return self.deep(F.relu(self.shallow(self.frozen(low))))


def plain_loss(output, target):
    value = (output**2).mean()
    return value, {"square": value}


@pytest.fixture
def begin(tmp_path):
    def make(model, *, server_round=1, last_accepted=0, layer=None, weight=0.1, low=LOW):
        batches = [(low, torch.zeros(1))]
        objective = Contrastive(weight=weight, temperature=0.07, width=5, layer=layer)
        client_state = ClientState(RecordDict(), tmp_path / "state", last_accepted)
        objective.begin(
            model, Start(server_round, {}, client_state, batches, plain_loss, torch.device("cpu"), 3)
        )
        return objective

    return make


@pytest.fixture
def network():
    torch.manual_seed(1)
    return Network()


def test_at_the_start_of_the_first_round_the_term_is_log_2_and_pulls_nowhere(begin, network):
    plain = plain_loss(network(LOW), None)[0]
    objective = begin(network)
    total, parts = objective.loss(plain_loss)(network(LOW), None)
    assert set(parts) == {"square"}
    assert float(total - plain) == pytest.approx(0.1 * np.log(2), rel=1e-5)
    total.backward()
    pulled = network.shallow.weight.grad.clone()
    network.zero_grad()
    objective.end(network)
    plain_loss(network(LOW), None)[0].backward()
    torch.testing.assert_close(pulled, network.shallow.weight.grad)


def test_value_and_gradients_by_hand(begin, network):
    before = copy.deepcopy(network.shallow)
    first = begin(network)
    with torch.no_grad():
        network.shallow.weight += 0.3 * torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(2))
    first.end(network)
    last = copy.deepcopy(network.shallow)
    network.shallow.load_state_dict(before.state_dict())
    second = begin(network, server_round=2, last_accepted=1, weight=0.5)
    with torch.no_grad():
        network.shallow.bias += 0.2
    head = nn.Sequential(*second._head)
    given = network.frozen(LOW)

    def unit(layer):
        return F.normalize(head(layer(given).mean((2, 3))), dim=1)

    z, g, p = unit(network.shallow), unit(before).detach(), unit(last).detach()
    near, far = ((z * g).sum(1) / 0.07).exp(), ((z * p).sum(1) / 0.07).exp()
    term = -(near / (near + far)).log().mean()
    total, _ = second.loss(plain_loss)(network(LOW), None)
    torch.testing.assert_close(total, plain_loss(network(LOW), None)[0] + 0.5 * term)
    assert abs(float(term) - np.log(2)) > 1e-3
    total.backward()
    gradient = next(iter(second.parameters())).grad
    assert gradient.abs().sum() > 0


def test_the_head_is_trained_and_remembered(begin, network):
    first = begin(network)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter += 1
    first.end(network)
    again = begin(network, server_round=2, last_accepted=1)
    for head, trained in zip(again.parameters(), first.parameters(), strict=True):
        assert torch.equal(head, trained)


def test_all_clients_start_with_one_head(begin, network):
    first = [parameter.tolist() for parameter in begin(network).parameters()]
    torch.rand(5)
    assert [parameter.tolist() for parameter in begin(network).parameters()] == first


def test_the_layer_is_the_first_that_is_trained_or_the_one_named(begin, network):
    assert begin(network)._live is network.shallow
    assert begin(network, layer="deep")._live is network.deep


class WithFlow(VideoModel):
    """Calls a part that may start to learn later before the others."""

    scale, late = 1, ("flow",)

    def __init__(self):
        super().__init__()
        self.flow = nn.Conv2d(3, 7, 1)
        self.shallow = nn.Conv2d(7, 3, 1)

    def restore(self, low):
        return self.shallow(self.flow(low.flatten(0, 1))).view(low.shape)


def test_the_layer_stays_when_a_flow_network_begins_to_learn(begin):
    model = WithFlow()
    model.flow.requires_grad_(False)
    first = begin(model, low=LOW[None])
    assert first._live is model.shallow
    first.end(model)
    model.flow.requires_grad_(True)
    second = begin(model, server_round=2, last_accepted=1, low=LOW[None])
    assert second._live is model.shallow


class Checkpointed(Network):
    """Forgets what the layer returns, and computes it again for the gradient."""

    def forward(self, low):
        return self.deep(checkpoint(lambda x: F.relu(self.shallow(self.frozen(x))), low, use_reentrant=False))


def test_recomputation_changes_nothing(begin, tmp_path):
    weights = []
    for kind in (Network, Checkpointed):
        torch.manual_seed(1)
        model = kind()
        first = begin(model)
        with torch.no_grad():
            model.shallow.weight += 0.3 * torch.randn(4, 3, 3, 3)
            first.end(model)
            model.shallow.weight -= 0.3 * torch.randn(4, 3, 3, 3)
        objective = begin(model, server_round=2, last_accepted=1, weight=5.0)
        train(
            model, [(LOW, LOW)] * 3, loss=objective.loss(plain_loss), adjust=objective.adjust, clip_norm=None,
            optimiser=torch.optim.SGD([*model.parameters(), *objective.parameters()], lr=0.1),
            device=torch.device("cpu"),
        )  # fmt: skip
        objective.end(model)
        weights.append([*model.parameters(), *objective.parameters()])
    for plain, checkpointed in zip(*weights, strict=True):
        torch.testing.assert_close(plain, checkpointed)


def test_an_unknown_layer_is_refused(begin, network):
    with pytest.raises(ConfigurationError, match=r"got 'shalow'; there are: frozen, shallow, deep"):
        begin(network, layer="shalow")
