"""Promises: an average as by hand, which stands in for the model and leaves."""

import numpy as np
import torch
from torch import nn

from server_app.moving_average import MovingAverage, without_average


def test_values_by_hand():
    average = MovingAverage(0.75)
    for value in (4.0, 8.0, 0.0):  # 4; 0.75 * 4 + 0.25 * 8 = 5; 0.75 * 5 = 3.75
        average.update({"w": torch.tensor(value), "count": torch.tensor(3)})
    assert average.state() == {"ema/w": 3.75}


def test_it_stands_in_for_the_model_and_leaves():
    model, average = nn.Linear(2, 1), MovingAverage(0.5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with average.in_place_of(model):  # before the first round there is nothing to put in its place
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    average.update({name: torch.zeros_like(tensor) for name, tensor in before.items()})
    with average.in_place_of(model):
        assert not any(tensor.any() for tensor in model.state_dict().values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_names_of_a_strategy_are_left_alone():
    state = {"ema/w": np.ones(1), "w": np.zeros(1)}
    assert set(without_average(state)) == {"w"}
    average = MovingAverage(0.5)
    average.load_state(state)
    assert set(average.state()) == {"ema/w"}
