"""Promises: what an app wouldn't run is said by its own code before anything is submitted."""

import io
import json
import sys

import pytest

from fedvsr.run_config import check_run_config
from fedvsr_core.errors import ConfigurationError, FederationError
from server_app.check_run import check, main
from server_app.config import compose, save
from server_app.records.journal import Journal
from server_app.records.run_dir import RunDir
from server_app.written import overrides

PROJECT = '[tool.flwr.app.config]\nexperiment = "smoke"\nstrategy = ""\n'


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    return folder


def test_a_new_run(app, tmp_path):
    words = {"overrides": overrides({"run.root": str(tmp_path / "runs" / "deep")})}
    assert check(app, words) == {"resumes": None, "clients": None}
    assert list(tmp_path.iterdir()) == [app]


def test_a_folder_of_runs_that_cannot_be(app):
    words = {"overrides": overrides({"run.root": str(app / "pyproject.toml" / "runs")})}
    with pytest.raises(ConfigurationError, match=r"run\.root must be a folder, but '.*' is a file"):
        check(app, words)


def test_a_folder_of_data_that_depends_on_where_the_server_starts(app, tmp_path):
    folders = {"data.folder": str(tmp_path), "data.held_out_folder": "other"}
    words = {"data": "videos", "overrides": overrides(folders)}
    with pytest.raises(
        ConfigurationError, match=r"data\.held_out_folder must be an absolute path, got 'other'"
    ):
        check(app, words)
    words["overrides"] = overrides(folders | {"data.held_out_folder": "~/other"})
    assert check(app, words) == {"resumes": None, "clients": None}


@pytest.mark.parametrize(
    ("names", "clients"), [(["partition-0", "partition-1"], 2), (["north", "south"], None)]
)
def test_a_simulation_that_goes_on_has_as_many_clients(app, tmp_path, names, clients):
    run = RunDir.create(str(tmp_path), ["x"])
    save(compose({"experiment": "smoke"}), run.config)
    with Journal(run.journal) as journal:
        journal.append({"phase": "start", "names": names})
    (app / "pyproject.toml").write_text(PROJECT.replace("smoke", ""))
    words = {"overrides": overrides({"run.resume": str(run.path)})}
    assert check(app, words) == {"resumes": str(run.path), "clients": clients}


def test_one_question_and_its_answer(app, monkeypatch, capsys):
    monkeypatch.chdir(app)
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"lr": 1}'))
    main()
    sentence = "run-config key 'lr' is unknown; write overrides=\"optimiser.lr=...\""
    assert sentence in json.loads(capsys.readouterr().out)["error"]


def test_apps_that_cannot_be_asked(app, tmp_path):
    assert check_run_config(app, {}) == {}  # another app than ours
    with pytest.raises(ConfigurationError, match=r"must be the folder of an app, but has no pyproject\.toml"):
        check_run_config(tmp_path / "nothing", {})
    (app / "server_app").mkdir()
    (app / "server_app" / "__init__.py").touch()
    (app / "server_app" / "check_run.py").write_text("raise SystemExit('no torch')")
    with pytest.raises(FederationError, match="must be able to check a run-config, but ends: no torch"):
        check_run_config(app, {})
