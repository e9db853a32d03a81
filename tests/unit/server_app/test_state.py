"""Promises: a run's state comes back from its checkpoint to the bit; what is scored isn't what is trained."""

import numpy as np
import pytest
import torch

from fedvsr_core.checkpoints.start import initial_model
from fedvsr_core.components import build
from server_app.checkpoints import LAST
from server_app.state import RunState
from server_app.strategies.stock import adapted


@pytest.fixture
def make(tiny):
    """Makes the state of a new run."""

    def make(overrides="", strategy="scaffold"):
        settings = tiny(overrides, strategy)
        return RunState(
            settings, initial_model(settings), adapted(build(settings.strategy.server, num_rounds=2))
        )

    return make


def after_a_round(state, by=1.0):
    arrays = {name: tensor.numpy() + np.float32(by) for name, tensor in state.model.state_dict().items()}
    state.strategy.load_state({name: 2 * array for name, array in arrays.items()})
    state.norms["arrays"].add([1.0, 2.5])
    state.accept(1, arrays.items(), ["north", "south"])
    return state


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("overrides", ["", "evaluation.ema=0.5"])
def test_a_checkpoint_holds_all_of_it(make, tmp_path, overrides):
    state, again = after_a_round(make(overrides)), make(overrides)
    state.save(tmp_path, 1, 30.0)
    assert again.restore(tmp_path / LAST).round == 1
    assert same(again.model.state_dict(), state.model.state_dict())
    for name, array in state.strategy.state().items():
        np.testing.assert_array_equal(again.strategy.state()[name], array)
    assert {name: norms.known for name, norms in again.norms.items()} == {
        "arrays": [1.0],
        "control-variates": [],
    }
    assert again.last_accepted == {"north": 1, "south": 1}
    for known in (state, again):
        known.accept(2, [(name, tensor.numpy() + 1) for name, tensor in known.model.state_dict().items()], [])
    with state.scored() as first, again.scored() as second:
        assert same(first.state_dict(), second.state_dict())


def test_without_a_checkpoint_there_is_nothing_to_go_back_to(make, tmp_path):
    state = make()
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    assert state.restore(tmp_path / LAST) is None
    assert same(state.model.state_dict(), before)


def test_the_average_is_scored_and_saved_and_the_model_trained_on(make, tmp_path):
    state = make("evaluation.ema=0.5", "fedavg")
    state.accept(1, [("fuse.bias", np.full_like(state.model.state_dict()["fuse.bias"], 1.0))], ["a"])
    state.accept(2, [("fuse.bias", np.full_like(state.model.state_dict()["fuse.bias"], 3.0))], ["a"])
    with state.scored() as model:
        assert (model.state_dict()["fuse.bias"] == 2).all()  # halfway between 1 and 3
    assert (state.model.state_dict()["fuse.bias"] == 3).all()
    state.save(tmp_path, 2, None)
    again = make("evaluation.ema=0.5", "fedavg")
    again.restore(tmp_path / LAST)
    assert (again.model.state_dict()["fuse.bias"] == 3).all()


def test_what_is_not_in_an_update_stays(make):
    state = make()
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    state.accept(3, [("fuse.bias", np.float64(7) * np.ones(before["fuse.bias"].shape))], ["north"])
    after = state.model.state_dict()
    assert (after["fuse.bias"] == 7).all()
    assert after["fuse.bias"].dtype == torch.float32
    assert same({**after, "fuse.bias": before["fuse.bias"]}, before)
    assert state.last_accepted == {"north": 3}


def test_deadlines_follow_from_the_journal(make):
    state = make()
    rows = [{"reply-seconds": 30.0}]
    state.learn_deadlines(
        [
            {"phase": "start"},
            {"phase": "train", "clients": rows},
            {"phase": "evaluate-clients", "clients": []},
        ]
    )
    assert state.deadlines["train"].limit_s(0) == 300
    assert state.deadlines["evaluate-clients"].limit_s(0) == 3600
