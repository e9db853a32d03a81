"""Promises: no honest client goes beyond its reach, and one that does is beyond what its optimiser can."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from server_app.reach import reach

ARRAYS = {"weight": np.zeros((4, 4), np.float32), "bias": np.zeros(4, np.float32)}


def furthest(tiny, overrides, model=None):
    return reach(tiny(overrides), model or nn.Linear(4, 4), ARRAYS)


def test_adam_by_hand(tiny):
    # 0.1 / sqrt(0.01 * (1 - 0.81 / 0.99)) = 2.3452 step sizes in each of 20 parameters, and 1 % more
    expected = 7 * 0.01 * 2.345208 * math.sqrt(20) * 1.01
    assert furthest(tiny, "training.steps=7 optimiser.lr=0.01") == pytest.approx(expected, rel=1e-6)


def test_clipped_gradient_descent_by_hand(tiny):
    overrides = "optimiser=sgd optimiser.lr=0.1 optimiser.momentum=0.5 training.clip_norm=3 training.steps=7"
    assert furthest(tiny, overrides) == pytest.approx(7 * 0.1 * 3 * 2 * 1.01)


RMSPROP = "optimiser._target_=torch.optim.RMSprop ~optimiser.betas"


@pytest.mark.parametrize("overrides", ["optimiser=sgd", "training.epochs=1", RMSPROP])
def test_where_nothing_bounds_a_step_there_is_no_bound(tiny, overrides):
    assert furthest(tiny, overrides) == math.inf


def test_nor_where_arrays_travel_that_no_optimiser_moves(tiny):
    means = {**ARRAYS, "running_mean": np.zeros(4, np.float32)}
    assert reach(tiny(), nn.BatchNorm1d(4), means) == math.inf


@pytest.mark.parametrize("seed", range(5))
def test_adam_stays_within_it_whatever_the_gradients(tiny, seed):
    generator = torch.Generator().manual_seed(seed)
    model = nn.Linear(4, 4)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.9, 0.99))
    for step in range(30):  # gradients that grow: the worst for a moving average of squares
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.grad = (1.0 + 0.1 * noise) * 1.1**step
        optimiser.step()
    pairs = zip(model.parameters(), before, strict=True)
    moved = math.sqrt(sum(float((now.detach() - old).square().sum()) for now, old in pairs))
    bound = furthest(tiny, "training.steps=30 optimiser.lr=0.01")
    assert 0.3 * bound < moved <= bound
