"""Promises: an average as by hand, which stands in for the model and leaves, also from a checkpoint."""

import numpy as np
import pytest
import torch
from torch import nn

from server_app.moving_average import MovingAverage, without_trained


def values(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def model():
    model = nn.Linear(1, 1, bias=False)
    model.register_buffer("count", torch.tensor(3))
    return model


def after(model, average, *weights):
    for weight in weights:
        model.load_state_dict({"weight": torch.tensor([[weight]]), "count": torch.tensor(3)})
        average.update(model.state_dict())


def scored(model, average):
    with average.in_place_of(model):
        return model.weight.item()


def test_values_by_hand(model):
    average = MovingAverage(0.75)
    after(model, average, 4.0, 8.0, 0.0)  # 4; 0.75 * 4 + 0.25 * 8 = 5; 0.75 * 5 = 3.75
    assert scored(model, average) == 3.75
    assert model.weight.item() == 0.0


def test_before_the_first_round_there_is_nothing_to_put_in_its_place(model):
    before, average = values(model), MovingAverage(0.5)
    with average.in_place_of(model):
        assert values(model) == before
    assert average.trained(model) == {}


def test_a_checkpoint_holds_the_average_and_what_training_goes_on_from(model):
    average = MovingAverage(0.75)
    after(model, average, 4.0, 8.0)
    trained = average.trained(model)
    with average.in_place_of(model):
        checkpoint = values(model)
    assert (checkpoint["weight"].item(), {name: array.item() for name, array in trained.items()}) == (
        5.0,
        {"trained/weight": 8.0},
    )
    restored = MovingAverage(0.75)
    model.load_state_dict(checkpoint)
    restored.restore(model, {**trained, "moments/weight": np.ones(1)})
    assert model.weight.item() == 8.0
    after(model, restored, 0.0)
    assert scored(model, restored) == 3.75


def test_names_of_a_strategy_are_left_alone():
    assert set(without_trained({"trained/w": np.ones(1), "w": np.zeros(1)})) == {"w"}
