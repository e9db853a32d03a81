"""Promises: a step for each batch, gradients adjusted, then limited; means that say what was minimised."""

import math

import pytest
import torch
from torch import nn

from fedvsr_core.training.local import train

CPU = torch.device("cpu")


class Point(nn.Module):
    """One weight; the output is the input times it."""

    def __init__(self, weight=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, low):
        return self.weight * low


def squares(output, target):
    near = (output - target).square().mean()
    return 2 * near, {"near": near.detach()}


def batch(low, high):
    return torch.full((1, 1, 1, 1, 1), low), torch.full((1, 1, 1, 1, 1), high)


def run(model, batches, *, adjust=lambda model: None, clip_norm=None, step_size=0.125):
    optimiser = torch.optim.SGD(model.parameters(), lr=step_size)
    return train(
        model, batches, loss=squares, optimiser=optimiser, adjust=adjust, clip_norm=clip_norm, device=CPU
    )


def test_two_steps_by_hand():
    # 2 (w - 0)^2 from w = 1: loss 2, gradient 4, w = 1 - 4/8 = 1/2; then loss 1/2, gradient 2, w = 1/4.
    model = Point()
    outcome = run(model, [batch(1.0, 0.0)] * 2)
    assert model.weight.item() == 0.25
    assert outcome.steps == 2
    assert outcome.loss == (2 + 0.5) / 2
    assert outcome.parts == {"near": (1 + 0.25) / 2}


def test_gradients_are_adjusted_before_they_are_limited():
    # Gradient 4 becomes 40, is cut to 1, and times 1/8 makes w = 7/8. The other way round: 1 - 10/8.
    def tenfold(model):
        model.weight.grad *= 10

    model = Point()
    run(model, [batch(1.0, 0.0)], adjust=tenfold, clip_norm=1.0)
    assert model.weight.item() == pytest.approx(7 / 8, abs=1e-6)


def test_the_adjustment_sees_the_model_in_every_step():
    seen = []
    model = Point()
    run(model, [batch(1.0, 0.0)] * 3, adjust=seen.append)
    assert seen == [model] * 3


def test_a_gradient_below_the_limit_stays():
    model = Point()
    run(model, [batch(1.0, 0.0)], clip_norm=4.5)
    assert model.weight.item() == 0.5


def test_gradients_do_not_pile_up():
    model = Point()
    model.weight.grad = torch.tensor(100.0)
    run(model, [batch(1.0, 0.0)])
    assert model.weight.item() == 0.5


def test_it_trains_in_training_mode():
    model = Point().eval()
    run(model, [batch(1.0, 0.0)])
    assert model.training


def test_batches_are_taken_as_they_come():
    taken = []

    def batches():
        for number in range(3):
            taken.append(number)
            yield batch(1.0, 0.0)
            assert taken == list(range(number + 1))

    assert run(Point(), batches()).steps == 3


def test_a_loss_that_is_not_finite_is_told():
    assert math.isnan(run(Point(math.nan), [batch(1.0, 0.0)]).loss)


def test_no_batches():
    outcome = run(Point(), [])
    assert (outcome.steps, outcome.parts) == (0, {})
    assert math.isnan(outcome.loss)


def test_a_mean_of_many_small_losses_is_exact():
    # 3000 losses of 2e-8 beside one of 2: summed in float32 they would vanish.
    model = Point(0.0)
    batches = [batch(1.0, 1.0), *[batch(1.0, 1e-4)] * 3000]
    outcome = run(model, batches, step_size=0.0)
    assert outcome.loss == pytest.approx((2 + 3000 * 2e-8) / 3001, rel=1e-6)
