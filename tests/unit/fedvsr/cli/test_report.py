"""Promises: a run that has only its journal gets its plots and summary; what is no run is refused."""

import pytest
from typer.testing import CliRunner

from fedvsr.cli.main import app
from server_app.records.journal import Journal
from server_app.records.run_dir import RunDir


def test_a_killed_run_gets_its_summary(tmp_path):
    run = RunDir.create(str(tmp_path), ["fedvsr"])
    with Journal(run.journal) as journal:
        journal.append({"phase": "start", "seed": 3, "strategy": "fedvsr", "model": "recurrent", "rounds": 8})
    done = CliRunner().invoke(app, ["report", str(run.path)])
    assert done.exit_code == 0, done.output
    assert done.output.split() == [str(run.summary), str(run.page)]
    assert "fedvsr" in run.summary.read_text()
    assert "Killed: it left no last word" in run.page.read_text()


@pytest.mark.parametrize("name", ["missing", "."])
def test_no_run_is_refused(tmp_path, name):
    done = CliRunner().invoke(app, ["report", str(tmp_path / name)])
    assert done.exit_code == 1
    assert "a run directory has a journal.jsonl" in done.output.replace("\n", " ").replace("│ ", "")
