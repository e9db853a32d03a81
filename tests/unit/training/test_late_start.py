"""Promises: late parameters are frozen for so many steps over all rounds, and have their own step size."""

import pytest
import torch

from fedvsr_core.models.basicvsr import BasicVSR
from fedvsr_core.training.late_start import frozen_steps, is_frozen, optimiser_of
from server_app.config import compose


def settings(steps, frozen, more=""):
    return compose(
        {"model": "basicvsr_small", "overrides": f"training.steps={steps} flow.frozen_steps={frozen} {more}"}
    ).for_clients()


@pytest.fixture
def model():
    torch.manual_seed(0)
    return BasicVSR(num_feat=4, num_block=1)


@pytest.mark.parametrize(
    ("frozen", "by_round"),
    [
        (0, [0, 0, 0, 0]),
        (4, [4, 4, 0, 0]),  # round 0, the start, is as round 1
        (6, [4, 4, 2, 0]),
        (12, [4, 4, 4, 4]),
        (10**9, [4, 4, 4, 4]),
    ],
)
def test_steps_are_counted_over_rounds(frozen, by_round):
    chosen = settings(4, frozen)
    assert [frozen_steps(chosen, number) for number in range(4)] == by_round
    assert [is_frozen(chosen, number) for number in range(4)] == [steps == 4 for steps in by_round]


def test_late_parameters_take_steps_of_their_own_size(model):
    optimiser = optimiser_of(model, settings(1, 0, "optimiser.lr=0.5 flow.step_size=0.125"))
    sizes = {id(parameter): group["lr"] for group in optimiser.param_groups for parameter in group["params"]}
    assert {name: sizes[id(parameter)] for name, parameter in model.named_parameters()} == {
        name: 0.0625 if name.startswith("spynet.") else 0.5 for name, _ in model.named_parameters()
    }


@pytest.mark.parametrize("fused", [False, True])
def test_a_fused_optimiser_makes_the_same_step(model, fused):
    optimiser = optimiser_of(model, settings(10, 5), fused=fused)
    assert bool(optimiser.defaults["fused"]) is fused
    before = [one.detach().clone() for one in model.parameters()]
    for one in model.parameters():
        one.grad = torch.ones_like(one)
    optimiser.step()
    # Adam's first step has the size of the step size, whatever the gradient.
    largest = max((old - one).abs().max().item() for old, one in zip(before, model.parameters(), strict=True))
    assert largest == pytest.approx(settings(10, 5).optimiser["lr"], rel=1e-3)
