"""Promises: on quadratics with different minima, each method ends where its closed form says.

Client i minimises f_i(w) = a_i / 2 * (w - b_i)^2, in K steps of gradient descent with step size e. The sum
has its minimum at w* = sum(a b) / sum(a). With r_i = (1 - e a_i)^K a client returns b_i + r_i (w - b_i), so
FedAvg's fixed point is sum((1 - r) b) / sum(1 - r), which isn't w*. FedProx with many steps returns
(a b + mu w) / (a + mu) and has its fixed point at sum(a b / (a + mu)) / sum(a / (a + mu)). SCAFFOLD's is w*.
"""

import numpy as np
import pytest
import torch
from flwr.app import Message, MetricRecord, RecordDict
from torch import nn

from client_app.client_state import ClientState
from client_app.objectives.control_variate import ControlVariate
from client_app.objectives.plain import Plain
from client_app.objectives.proximal import Proximal
from fedvsr_core.flower.arrays import record_from_arrays, to_arrays
from fedvsr_core.training.local import train
from fedvsr_core.training.objective import Start
from server_app.strategies.scaffold import Scaffold
from server_app.strategies.uniform import Uniform

A, B = np.array([1.0, 4.0, 2.0]), np.array([0.0, 3.0, -5.0])
STEP, OPTIMUM = 0.05, float((A * B).sum() / A.sum())


class Point(nn.Module):
    """One number; the input is what it's multiplied by."""

    def __init__(self, at):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(at, dtype=torch.float64))

    def forward(self, x):
        return self.w * x.double()


def quadratic(a, b):
    def loss(output, target):
        value = (a / 2 * (output - b) ** 2).mean()
        return value, {}

    return loss


def meet(sites, strategy, objectives, tmp_path, *, rounds, steps, clients=None, step_size=STEP):
    """Train; returns the model, and the memory's state of each client."""
    states = [RecordDict() for _ in A]
    model, counted = {"w": np.asarray(0.7)}, dict.fromkeys(range(len(A)), 0)
    for server_round in range(1, rounds + 1):
        messages = sites.configure(strategy, server_round, record_from_arrays(model))
        extra = {name: to_arrays(messages[0].content[name]) for name in strategy.extra}
        replies = []
        for k in clients(server_round) if clients else range(len(A)):
            point, objective, loss = Point(model["w"]), objectives(), quadratic(A[k], B[k])
            batches = [(torch.ones(1), torch.zeros(1))] * steps
            memory = ClientState(states[k], tmp_path / str(k), counted[k])
            start = Start(server_round, extra, memory, batches, loss, torch.device("cpu"), 0)
            objective.begin(point, start)
            train(
                point, batches, loss=objective.loss(loss), adjust=objective.adjust,
                optimiser=torch.optim.SGD(point.parameters(), lr=step_size), clip_norm=None,
                device=torch.device("cpu"),
            )  # fmt: skip
            returned = {"arrays": record_from_arrays({"w": point.w.detach().numpy()})}
            returned |= {name: record_from_arrays(arrays) for name, arrays in objective.end(point).items()}
            content = RecordDict({**returned, "metrics": MetricRecord({"num-examples": 1, "loss": 1.0})})
            replies.append(Message(content=content, metadata=sites.metadata(k)))
            counted[k] = server_round
        arrays, _ = strategy.aggregate_train(server_round, replies)
        model = to_arrays(arrays)
    return float(model["w"])


@pytest.fixture
def trio(make_sites):
    return make_sites(len(A))


@pytest.mark.parametrize(("steps", "rounds"), [(1, 180), (10, 25)])
def test_fedavg_stops_short_of_the_optimum_with_many_steps(trio, tmp_path, steps, rounds):
    rest = (1 - STEP * A) ** steps
    fixed = ((1 - rest) * B).sum() / (1 - rest).sum()
    assert meet(trio, Uniform(), Plain, tmp_path, rounds=rounds, steps=steps) == pytest.approx(
        fixed, abs=1e-9
    )
    assert (abs(fixed - OPTIMUM) < 1e-9) == (steps == 1)
    if steps > 1:
        assert abs(fixed - OPTIMUM) > 0.05


@pytest.mark.parametrize("option", [1, 2])
def test_scaffold_reaches_the_optimum_with_many_steps(trio, tmp_path, option):
    strategy = Scaffold(step_size=1.0)
    strategy.prepare(clients=3, cohort=3)
    found = meet(trio, strategy, lambda: ControlVariate(option=option), tmp_path, rounds=60, steps=10)
    assert found == pytest.approx(OPTIMUM, abs=1e-9)
    # There c_i is the gradient of client i, and c their mean, 0.
    assert strategy.state()["w"] == pytest.approx(0, abs=1e-9)


def test_scaffold_keeps_the_number_of_clients_that_it_was_told():
    strategy = Scaffold(step_size=1.0, num_clients=9)
    strategy.prepare(clients=3, cohort=3)
    assert strategy.num_clients == 9


def test_scaffold_remembers_its_largest_number_of_clients():
    before, after = Scaffold(step_size=1.0), Scaffold(step_size=1.0)
    before.prepare(clients=5, cohort=5)
    after.load_state(before.state() | {"w": np.ones(2, np.float32)})
    after.prepare(clients=3, cohort=3)
    assert after.num_clients == 5
    np.testing.assert_array_equal(after.state()["w"], [1, 1])


def test_scaffolds_variate_stays_the_mean_when_clients_join():
    variates = np.array([1.0, 2.0, 6.0])
    strategy = Scaffold(step_size=1.0)
    strategy.load_state({"w": np.asarray(variates.mean(), np.float32), "num-clients": np.asarray(3)})
    earlier = strategy.state()
    strategy.prepare(clients=4, cohort=2)
    for _ in range(2):  # a round that learns nothing takes back the state before it
        assert strategy.num_clients == 4
        assert strategy.state()["w"] == pytest.approx(np.append(variates, 0).mean())
        assert strategy.state()["w"].dtype == np.float32
        strategy.load_state(earlier)


def test_scaffold_takes_a_state_without_the_number_of_clients():
    strategy = Scaffold(step_size=1.0)
    strategy.load_state({"w": np.ones(2)})
    strategy.prepare(clients=3, cohort=3)
    assert strategy.num_clients == 3
    np.testing.assert_array_equal(strategy.state()["w"], [1, 1])


def test_a_number_of_clients_that_scaffold_was_told_counts_more_than_a_state():
    strategy = Scaffold(step_size=1.0, num_clients=9)
    strategy.load_state({"w": np.ones(2), "num-clients": np.asarray(12)})
    strategy.prepare(clients=20, cohort=3)
    assert strategy.num_clients == 9
    np.testing.assert_array_equal(strategy.state()["w"], [1, 1])


def test_scaffold_reaches_it_though_not_all_take_part(trio, tmp_path):
    strategy = Scaffold(step_size=1.0)
    strategy.prepare(clients=3, cohort=2)
    found = meet(
        trio, strategy, lambda: ControlVariate(option=2), tmp_path, rounds=120, steps=10,
        clients=lambda server_round: [server_round % 3, (server_round + 1) % 3],
    )  # fmt: skip
    assert found == pytest.approx(OPTIMUM, abs=1e-6)


@pytest.mark.parametrize("mu", [0.5, 3.0])
def test_fedprox_ends_at_its_own_fixed_point(trio, tmp_path, mu):
    fixed = (A * B / (A + mu)).sum() / (A / (A + mu)).sum()
    found = meet(trio, Uniform(), lambda: Proximal(mu=mu), tmp_path, rounds=36, steps=60, step_size=0.2)
    assert found == pytest.approx(fixed, abs=1e-6)


def test_fedprox_without_a_pull_is_fedavg(trio, tmp_path):
    runs = [
        meet(trio, Uniform(), make, tmp_path, rounds=3, steps=5) for make in (Plain, lambda: Proximal(mu=0))
    ]
    assert runs[0] == runs[1]


def test_scaffold_with_equal_clients_is_fedavg(trio, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "A", np.full(3, 2.0))
    monkeypatch.setitem(globals(), "B", np.full(3, 1.5))
    strategy = Scaffold(step_size=1.0)
    strategy.prepare(clients=3, cohort=3)
    with_variates = meet(trio, strategy, lambda: ControlVariate(option=2), tmp_path, rounds=4, steps=5)
    assert with_variates == pytest.approx(
        meet(trio, Uniform(), Plain, tmp_path, rounds=4, steps=5), abs=1e-12
    )


def test_two_rounds_of_scaffold_by_hand(trio, tmp_path):
    w, c, own = 0.7, 0.0, np.zeros(3)
    for _ in range(2):  # algorithm 1 with option II as the paper has it
        y = np.full(3, w)
        for _ in range(4):
            y -= STEP * (A * (y - B) - own + c)
        new = own - c + (w - y) / (4 * STEP)
        w, c, own = w + 0.5 * (y - w).mean(), c + (new - own).sum() / 5, new
    strategy = Scaffold(step_size=0.5)
    strategy.prepare(clients=5, cohort=3)
    found = meet(trio, strategy, lambda: ControlVariate(option=2), tmp_path, rounds=2, steps=4)
    assert found == pytest.approx(w, abs=1e-12)
    assert strategy.state()["w"] == pytest.approx(c, abs=1e-12)
