"""Promises: step sizes and losses follow their schedules; kept moments make many rounds one training."""

import numpy as np
import pytest
import torch
from torch import nn

from client_app.objectives.control_variate import ControlVariate
from client_app.objectives.plain import Plain
from fedvsr_core.components import build
from fedvsr_core.training.client_round import train_round
from fedvsr_core.training.objective import Start
from server_app.config import compose

LOW, HIGH = torch.full((1, 1, 1, 1, 1), 1.0), torch.full((1, 1, 1, 1, 1), 3.0)


class Point(nn.Module):
    """One weight; the output is the input times it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, low):
        return self.weight * low

    def late_parameters(self):
        return []


class Store:
    """What a client keeps; every round was accepted."""

    def __init__(self):
        self.arrays = {}

    def recall(self):
        return self.arrays

    def keep(self, server_round, arrays):
        self.arrays = dict(arrays)


def rounds_of(model, settings, *, rounds, steps, store=None, objective=Plain, seen=None):
    store = store or Store()
    for server_round in range(1, rounds + 1):
        loss = build(settings.loss)
        if seen is not None:
            forward = loss.forward
            loss.forward = lambda *clips, loss=loss, forward=forward: (
                seen.append(dict(loss.weights)) or forward(*clips)
            )
        start = Start(server_round, {}, store, [(LOW, HIGH)] * steps, loss, torch.device("cpu"), 0)
        train_round(model, objective(), settings, start)
    return store


def settings(overrides):
    return compose({"strategy": "fedavg", "overrides": overrides}).for_clients()


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_rounds_with_kept_moments_are_one_training(optimiser):
    # So smooth a loss pulls less the nearer it is: without moments, Adam would take other steps.
    chosen = f"optimiser={optimiser} optimiser.lr=0.05 loss.parts.charbonnier.loss.eps=9.0"
    if optimiser == "sgd":
        chosen += " optimiser.momentum=0.9"
    keeping = settings(f"{chosen} training.keep_moments=true")
    whole, parts = Point(), Point()
    rounds_of(whole, keeping, rounds=1, steps=6)
    rounds_of(parts, keeping, rounds=3, steps=2)
    assert parts.weight.item() == whole.weight.item()
    forgetful = Point()
    rounds_of(forgetful, settings(chosen), rounds=3, steps=2)
    assert forgetful.weight.item() != whole.weight.item()


def test_moments_lie_beside_what_the_objective_keeps():
    def option_2():
        return ControlVariate(option=2)

    kept, moments_too = settings(""), settings("training.keep_moments=true")
    plain = rounds_of(Point(), kept, rounds=1, steps=2, objective=option_2)
    store = rounds_of(Point(), moments_too, rounds=2, steps=2, objective=option_2)
    assert plain.arrays.keys() == {"weight"}
    assert store.arrays.keys() == {"weight", "moments/0/step", "moments/0/exp_avg", "moments/0/exp_avg_sq"}
    assert store.arrays["moments/0/step"] == 4
    assert np.isfinite(store.arrays["weight"])


def test_nothing_is_kept_unless_asked():
    assert rounds_of(Point(), settings("rounds=2"), rounds=2, steps=2).arrays == {}


def test_the_step_size_follows_its_schedule():
    # Plain gradient descent on |w - 3|, whose gradient is -1: the weight moves by the step size.
    loss = "loss.parts.charbonnier.loss.eps=1e-18"
    chosen = settings(f"optimiser=sgd optimiser.lr=0.5 schedule=warm_up schedule.share=1.0 rounds=2 {loss}")
    model = Point()
    rounds_of(model, chosen, rounds=2, steps=2)
    assert model.weight.item() == pytest.approx(0.5 + 0.5 * (0.25 + 0.5 + 0.75 + 1.0), abs=1e-6)


def test_weights_of_the_loss_follow_theirs():
    late = "{_target_:fedvsr_core.schedules.Late,begin:0.25,end:0.75}"
    chosen = settings(f"'+loss.parts.charbonnier.schedule={late}' loss.parts.charbonnier.weight=2.0 rounds=2")
    seen = []
    rounds_of(Point(), chosen, rounds=2, steps=2, seen=seen)
    assert seen == [{"charbonnier": weight} for weight in (0.0, 0.0, 1.0, 2.0)]
