"""Promises: a model is found by file, run, folder or name, and published weights by what they fit."""

import json

import pytest
import torch

import fedvsr
from fedvsr.loading import model_file
from fedvsr.models import names, settings_of
from fedvsr_core.checkpoints.store import save_model
from fedvsr_core.errors import CheckpointError, ConfigurationError, DataError
from fedvsr_core.models.recurrent import Recurrent


@pytest.fixture
def model():
    torch.manual_seed(0)
    return fedvsr.build_model("recurrent", width=4, blocks=1)


@pytest.fixture
def saved(model):
    def save(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_model(path, model.state_dict(), settings_of("recurrent", width=4, blocks=1))
        return path

    return save


@pytest.fixture
def run(saved, monkeypatch, tmp_path):
    """Makes a run directory with a best model, in the folder of runs."""
    monkeypatch.setenv("FEDVSR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("fedvsr.loading.compose", lambda run_config: _Runs(tmp_path / "runs"))

    def make(name, outcome="completed", file="best"):
        path = tmp_path / "runs" / name
        lines = [
            {"phase": "start", "round": 0, "time": name, "rounds": 1},
            {"phase": "end", "round": 1, "outcome": outcome},
        ]
        path.mkdir(parents=True)
        (path / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if file:
            saved(path / "checkpoints" / f"{file}.safetensors")
        return path

    return make


class _Runs:
    def __init__(self, root):
        self.run = type("Run", (), {"root": str(root)})


def equal(first, second):
    states = first.state_dict(), second.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(tensor, states[1][name]) for name, tensor in states[0].items()
    )


def test_a_file(model, saved, tmp_path):
    loaded = fedvsr.load_model(saved(tmp_path / "best.safetensors"))
    assert isinstance(loaded, Recurrent)
    assert not loaded.training
    assert equal(loaded, model)


def test_a_folder_with_one_file(model, saved, tmp_path):
    saved(tmp_path / "published" / "model.safetensors")
    assert equal(fedvsr.load_model(tmp_path / "published"), model)
    saved(tmp_path / "published" / "other.safetensors")
    with pytest.raises(DataError, match=r"must hold one model file, got 2: model\.safetensors, other\."):
        fedvsr.load_model(tmp_path / "published")


def test_a_run_by_its_directory_and_by_its_name(run):
    path = run("20260101-000000-fedvsr-recurrent")
    best = path / "checkpoints" / "best.safetensors"
    assert model_file(path) == model_file(str(path)) == model_file(path.name) == best


def test_a_run_that_was_never_scored_gives_its_last_model(run):
    path = run("20260101-000000-fedvsr-recurrent", file="last")
    assert model_file(path) == path / "checkpoints" / "last.safetensors"


def test_a_run_without_a_model(run):
    with pytest.raises(DataError, match=r"has no model yet; wait for its first round"):
        model_file(run("20260101-000000-fedvsr-recurrent", file=None))


def test_the_newest_completed_run_of_a_folder(run, tmp_path):
    run("20260101-000000-a")
    newest = run("20260102-000000-b")
    run("20260103-000000-c", outcome="it broke")
    assert model_file() == model_file(tmp_path / "runs") == newest / "checkpoints" / "best.safetensors"


def test_what_is_nowhere(run, tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(DataError, match=r"^there is no model file, run or folder '.*none'; 'fedvsr runs'"):
        fedvsr.load_model(tmp_path / "none")
    with pytest.raises(DataError, match=r"^there is no completed run in '.*runs', and no model file"):
        fedvsr.load_model()


@pytest.mark.parametrize("name", ["recurrent", "rvrt_small", "basicvsr_small"])
def test_published_weights_are_recognised(name, tmp_path):
    torch.manual_seed(1)
    network = fedvsr.build_model(name)
    weights = {f"module.{key}": tensor for key, tensor in network.state_dict().items()}
    torch.save({"params": weights}, tmp_path / "weights.pth")
    loaded = fedvsr.load_pretrained(tmp_path / "weights.pth")
    assert type(loaded) is type(network)
    assert equal(loaded, network)
    assert equal(fedvsr.load_pretrained(str(tmp_path / "weights.pth"), name), network)


def test_weights_that_fit_nothing_are_answered_with_the_nearest(tmp_path):
    weights = fedvsr.build_model("recurrent").state_dict()
    del weights["fuse.bias"]
    torch.save(weights, tmp_path / "weights.pth")
    said = r"has the weights of none of basicvsr, .*; 9\d% of them are those of 'recurrent': load_pretrained"
    with pytest.raises(CheckpointError, match=said):
        fedvsr.load_pretrained(tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"weights\.pth': .* fuse\.bias missing"):
        fedvsr.load_pretrained(tmp_path / "weights.pth", "recurrent")
    with pytest.raises(ConfigurationError, match=r"there is no model 'rvtr'; did you mean 'rvrt'\?"):
        fedvsr.load_pretrained(tmp_path / "weights.pth", "rvtr")


def test_a_network_by_name():
    assert "rvrt" in names()
    small = fedvsr.build_model("recurrent", width=3)
    assert small.fuse.out_channels == 3
    with pytest.raises(ConfigurationError, match=r"recurrent\.widht: .*; did you mean 'width'"):
        fedvsr.build_model("recurrent", widht=3)
    with pytest.raises(ConfigurationError, match=r"model=recurent: no such option; did you mean 'recurrent'"):
        fedvsr.build_model("recurent")
