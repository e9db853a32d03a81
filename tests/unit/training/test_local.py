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


def test_the_limit_is_that_of_all_that_is_trained():
    # Gradients 4 of the weight and 3 of a parameter outside the model have the norm 5; cut to 1: 0.8 and 0.6.
    model, another = Point(), nn.Parameter(torch.tensor(0.0))

    def loss(output, target):
        total, parts = squares(output, target)
        return total + 3 * another, parts

    optimiser = torch.optim.SGD([model.weight, another], lr=1.0)
    train(
        model, [batch(1.0, 0.0)], loss=loss, optimiser=optimiser, adjust=lambda model: None, clip_norm=1.0,
        device=CPU,
    )  # fmt: skip
    assert (model.weight.item(), another.item()) == pytest.approx((1 - 0.8, -0.6), abs=1e-5)


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
    # 3000 losses of 2e-8 and one of 2: summed in float32 they would vanish.
    model = Point(0.0)
    batches = [batch(1.0, 1.0), *[batch(1.0, 1e-4)] * 3000]
    outcome = run(model, batches, step_size=0.0)
    assert outcome.loss == pytest.approx((2 + 3000 * 2e-8) / 3001, rel=1e-6)


def test_late_parameters_stay_for_the_first_steps():
    # As in two steps by hand, but the first of three leaves the weight at 1: then 1/2 and 1/4.
    model = Point()
    model.other = nn.Parameter(torch.tensor(1.0))
    seen = []
    optimiser = torch.optim.SGD(model.parameters(), lr=0.125)

    def loss(output, target):
        seen.append((model.weight.item(), model.weight.requires_grad))
        total, parts = squares(output, target)
        return total + model.other, parts

    outcome = train(
        model, [batch(1.0, 0.0)] * 3, loss=loss, optimiser=optimiser, adjust=lambda model: None,
        clip_norm=None, device=CPU, late=[model.weight], frozen_steps=1,
    )  # fmt: skip
    assert seen == [(1.0, False), (1.0, True), (0.5, True)]
    assert model.weight.item() == 0.25
    assert outcome.steps == 3


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_network_computes_in_lower_precision_and_the_loss_does_not(precision):
    network, seen = nn.Conv3d(1, 1, 1, bias=False), []
    network.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))

    def loss(output, target):
        seen.append(output.dtype)
        return squares(output, target)

    optimiser = torch.optim.SGD(network.parameters(), lr=0.125)
    nn.init.ones_(network.weight)
    train(
        network, [batch(1.0, 0.0)] * 2, loss=loss, optimiser=optimiser, adjust=lambda model: None,
        clip_norm=1e9, device=CPU, autocast=precision,
    )  # fmt: skip
    assert seen == [getattr(torch, precision), torch.float32] * 2
    assert network.weight.dtype == torch.float32
    assert network.weight.item() == 0.25  # as by hand: these numbers are exact, scaled or not


def test_an_objective_sees_no_gradient_that_overflowed():
    # 2 w^2 times the scale of 1024 overflows float16 in the gradient of the output for a target of 1e4.
    network, seen = nn.Conv3d(1, 1, 1, bias=False), []
    nn.init.ones_(network.weight)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.125)
    train(
        network, [batch(1.0, 1e4), batch(1.0, 0.0)], loss=squares, optimiser=optimiser,
        adjust=lambda model: seen.append(model.weight.grad.item()), clip_norm=None, device=CPU,
        autocast="float16",
    )  # fmt: skip
    assert seen == [4.0]  # the gradient of the second step, at a weight that the first one left
    assert network.weight.item() == 0.5
