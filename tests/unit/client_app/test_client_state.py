"""Promises: a client recalls what the last accepted round left, and nothing else, also in another run."""

import numpy as np
import pytest
from flwr.app import RecordDict

from client_app.client_state import ClientState, state_folder
from fedvsr_core.errors import FederationError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "client"


def test_empty_before_a_round_was_accepted(folder):
    state = RecordDict()
    assert ClientState(state, folder, 0).recall() == {}
    assert not state
    assert not folder.exists()


@pytest.mark.parametrize("same_run", [True, False], ids=["state", "file"])
def test_what_an_accepted_round_left_is_recalled(folder, same_run):
    state, array = RecordDict(), np.arange(6, dtype=np.float32).reshape(2, 3).T  # not contiguous
    ClientState(state, folder, 0).keep(3, {"a": array, "b": np.asarray(2.5)})
    recalled = ClientState(state if same_run else RecordDict(), folder, 3).recall()
    assert recalled["a"].tolist() == array.tolist()
    assert recalled["b"].shape == ()
    assert recalled["b"] == 2.5


def test_a_round_that_did_not_count_is_forgotten(folder):
    state = RecordDict()
    ClientState(state, folder, 0).keep(1, {"x": np.ones(1)})
    ClientState(state, folder, 1).keep(2, {"x": np.full(1, 2.0)})  # the reply of round 2 is lost
    assert ClientState(state, folder, 1).recall()["x"] == 1
    ClientState(state, folder, 1).keep(4, {"x": np.full(1, 4.0)})
    assert ClientState(RecordDict(), folder, 4).recall()["x"] == 4
    assert sorted(path.name for path in folder.iterdir()) == [
        "memory-000001.safetensors",
        "memory-000004.safetensors",
    ]
    assert set(state) == {"memory-000001", "memory-000004"}


def test_a_repeated_round_replaces_what_it_left(folder):
    ClientState(RecordDict(), folder, 1).keep(2, {"x": np.zeros(1)})
    ClientState(RecordDict(), folder, 1).keep(2, {"x": np.ones(1)})
    assert ClientState(RecordDict(), folder, 2).recall()["x"] == 1


def test_what_is_gone_is_told(folder):
    with pytest.raises(FederationError, match=r"in round 7, but '.*memory-000007.safetensors' is missing"):
        ClientState(RecordDict(), folder, 7).recall()


def test_no_name_leads_out_of_the_folder(tmp_path):
    site = {"memory-dir": str(tmp_path)}
    for run, client in [("..", ".."), ("../../etc", "/etc"), ("a/b", "c\\d")]:
        folder = state_folder(site, run, client)
        assert folder.parents[1] == tmp_path
        assert ".." not in folder.relative_to(tmp_path).parts


def test_below_flowers_home_unless_the_site_says_where(tmp_path, monkeypatch):
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    assert state_folder({}, "r", "c") == tmp_path / "fedvsr-memory" / "run-r" / "client-c"
