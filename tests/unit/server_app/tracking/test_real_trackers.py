"""Promises: what a run tells TensorBoard, MLflow, Weights & Biases and Trackio is in their own files."""

import importlib
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from typer.testing import CliRunner

from fedvsr.cli.main import app
from server_app.tracking.trackers import tracker
from tests.pages import long_journal, run_with

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path):
    return run_with(tmp_path, long_journal(3, 2), crops=(0, 1, 2, 3))


def test_tensorboard_has_numbers_and_pictures(run):
    pytest.importorskip("tensorboard")
    done = CliRunner().invoke(app, ["track", str(run.path), "--to", "tensorboard"])
    assert done.exit_code == 0, done.output
    module = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    events = module.EventAccumulator(str(run.path / "tracking" / "tensorboard"))
    events.Reload()
    assert [(e.step, round(e.value, 4)) for e in events.Scalars("score/psnr-y")] == [
        (0, 28.0), (1, 28.0), (2, 28.75), (3, 29.0)
    ]  # fmt: skip
    assert [event.step for event in events.Images("crops")] == [0, 1, 2, 3]
    assert [event.step for event in events.Scalars("weight/site-1")] == [1, 2, 3]


@pytest.mark.parametrize("store", ["its own database", "a folder of files"])
def test_mlflow_has_numbers_and_pictures(run, monkeypatch, tmp_path, store):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    if store == "its own database":
        address, at = f"sqlite:///{run.path / 'tracking' / 'mlflow' / 'mlflow.db'}", run.path / "tracking"
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    else:
        address, at = (tmp_path / "files").as_uri(), tmp_path / "files"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for _ in range(2):  # the second time continues the same run
        done = CliRunner().invoke(app, ["track", str(run.path), "--to", "mlflow"])
        assert done.exit_code == 0, (done.output, done.exception)
    client = mlflow.MlflowClient(tracking_uri=address)
    (made,) = client.search_runs([client.get_experiment_by_name("fedvsr").experiment_id])
    assert made.info.status == "FINISHED"
    assert made.data.metrics["score/psnr-y"] == 29.0
    assert made.data.params["strategy"] == "fedvsr"
    assert [each.step for each in client.get_metric_history(made.info.run_id, "loss/site-1")][:3] == [1, 2, 3]
    assert len(client.list_artifacts(made.info.run_id, "crops")) == 4
    assert len(list(at.rglob("round-*.png"))) == 4
    assert not (tmp_path / "mlruns").exists()


def test_trackio_has_numbers_and_pictures(run, monkeypatch, tmp_path):
    pytest.importorskip("trackio")
    # Its own module reads where it writes when it is imported, so each has a process of its own.
    monkeypatch.delenv("TRACKIO_DIR", raising=False)
    words = [sys.executable, "-m", "fedvsr.cli.main", "track", str(run.path), "--to", "trackio"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = run.path / "tracking" / "trackio"
    (made,) = folder.glob("fedvsr*.db")
    with closing(sqlite3.connect(made)) as store:
        rows = store.execute(
            "select step, metrics from metrics where run_name = ?", [run.path.name]
        ).fetchall()
    values = {step: number for step, text in rows if (number := json.loads(text).get("score/psnr-y"))}
    assert values == {0: 28.0, 1: 28.0, 2: 28.75, 3: 29.0}
    assert len(list(folder.rglob("*.png"))) == 4


def test_weights_and_biases_offline(run, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    done = CliRunner().invoke(app, ["track", str(run.path), "--to", "wandb"])
    assert done.exit_code == 0, (done.output, done.exception)
    (made,) = (run.path / "tracking" / "wandb").rglob("*.wandb")
    end = time.monotonic() + 60
    while b"score/psnr-y" not in made.read_bytes():  # its own process writes on after the end
        assert time.monotonic() < end
        time.sleep(0.2)
    assert list(made.parent.rglob("*.png"))


def test_an_unknown_tracker_is_refused(run):
    done = CliRunner().invoke(app, ["track", str(run.path), "--to", "tensorbord"])
    assert done.exit_code == 1
    assert "there is no tracker 'tensorbord'; did you mean 'tensorboard'" in " ".join(done.output.split())
    with pytest.raises(KeyError):
        tracker("tensorbord", run, {})
