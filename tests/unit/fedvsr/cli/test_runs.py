"""Promises: a table and JSON of a folder of runs; a folder that isn't there is named."""

import json

from typer.testing import CliRunner

from fedvsr.cli.main import app
from server_app.checkpoints import LAST
from server_app.records.journal import Journal
from server_app.records.run_dir import RunDir

START = {
    "phase": "start",
    "time": "2026-03-01T10:00:00+00:00",
    "strategy": "fedvsr",
    "model": "vrt",
    "rounds": 8,
}
PROTOCOL = {"name": "vid4-y", "metrics": ["psnr-y"]}


def runs(*words, **environment):
    done = CliRunner().invoke(app, ["runs", *words], env={"COLUMNS": "200", **environment})
    return done.exit_code, done.output


def stopped(root):
    run = RunDir.create(str(root), ["fedvsr", "vrt"])
    (run.checkpoints / LAST).touch()
    with Journal(run.journal) as journal:
        journal.append(START)
        scores = {"psnr-y": 27.25, "bicubic": {"psnr-y": 26.0}, "protocol": PROTOCOL}
        journal.append({"phase": "evaluate", "round": 1, "seconds": 1.0, **scores})
        journal.append({"phase": "end", "seconds": 1.0, "outcome": "no nodes " * 30})
    return run


def test_the_table_says_what_to_do(tmp_path):
    run = stopped(tmp_path)
    code, said = runs(FEDVSR_RUNS=str(tmp_path))
    assert code == 0, said
    for words in ("failed, resumable", "0/8", "PSNR-Y 27.250 dB, +1.250 against bicubic (round 1)", "vid4-y"):
        assert words in said
    assert f"to resume: fedvsr run --resume {run.path}\n" in said
    assert "no nodes " * 12 not in said


def test_a_narrow_terminal_cuts_no_name(tmp_path):
    run = stopped(tmp_path)
    long = run.path.rename(tmp_path / f"{run.path.name}{'-and-more' * 6}")
    code, said = runs(FEDVSR_RUNS=str(tmp_path), COLUMNS="40")
    assert code == 0, said
    table = said.split("to resume")[0]
    assert f" {long.name} " in table
    for words in ("failed, resumable", "protocol", "vid4-y", "27.250", "+1.250"):
        assert words in table


def test_json_has_all_of_it(tmp_path):
    run = stopped(tmp_path)
    code, said = runs(str(tmp_path), "--json")
    assert code == 0, said
    (seen,) = json.loads(said)
    assert seen["path"] == str(run.path)
    assert seen["reason"] == "no nodes " * 30
    assert (seen["state"], seen["resumable"], seen["started"]) == ("failed", True, START["time"])
    assert seen["best"] == {
        "round": 1,
        "metric": "psnr-y",
        "score": 27.25,
        "bicubic": 26.0,
        "protocol": PROTOCOL,
    }


def test_a_folder_that_is_not_there_is_named(tmp_path):
    code, said = runs(str(tmp_path / "none"))
    assert code == 1
    assert "there is no folder of runs" in said
