"""What is refused before any client has trained."""

import shutil
from unittest import mock

import pytest
from flwr.app import Context, RecordDict
from flwr.serverapp import Grid

from fedvsr_core.errors import ConfigurationError
from server_app.app import app as server

FAILED = "finished:failed"


@pytest.mark.slow
def test_clients_that_run_other_code_stop_the_run(federation, app):
    # The engine's workers put the folder that it was started in first on their path.
    started_in = federation.home / "empty"
    started_in.mkdir(exist_ok=True)
    other = started_in / "client_app"
    shutil.copytree(app / "client_app", other)
    (other / "app.py").open("a").write("\n# another checkout\n")
    try:
        run = federation.submit(app).finish(FAILED)
    finally:
        shutil.rmtree(other)
    assert "runs other code" in run.lines("end")[-1]["outcome"]
    assert "stop the local SuperLink with 'fedvsr stop'" in run.log()
    assert run.lines("train") == []


@pytest.mark.slow
def test_a_wrong_run_config_is_refused_with_all_its_problems(federation, app):
    run = federation.submit(
        app,
        strategy="fedvrs",
        overrides="training.stepz=3 training.batch=0 rounds=many optimiser._target_=subprocess.Popen",
    ).finish(FAILED)
    log = run.log()
    assert "strategy=fedvrs: no such option; did you mean 'fedvsr'?" in log
    assert "there is no key 'training.stepz'; did you mean 'training.steps'?" in log
    assert "training.batch: Input should be greater than or equal to 1, got 0" in log
    assert "rounds: must be a whole number, got many" in log
    assert "optimiser: _target_ must name a class below" in log
    assert "'subprocess.Popen'" in log
    assert "5 problem(s)" in log
    assert list(run.root.iterdir()) == []
    assert "ClientAppActor" not in log


def test_a_relative_folder_of_runs_is_refused_before_the_federation_is_touched():
    grid = mock.Mock(spec=Grid)
    run_config = {"experiment": "smoke", "overrides": "run.root=runs/here"}
    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=run_config)
    with pytest.raises(ConfigurationError, match="must be an absolute path, got 'runs/here'"):
        server(grid, context)
    assert grid.mock_calls == []
