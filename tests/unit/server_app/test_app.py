"""Promises: a run-config makes a run directory with all that belongs there, or is refused at once."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Context, RecordDict

from fedvsr_core import errors
from fedvsr_core.flower.code import code_digest
from server_app.app import _OneLine, app
from server_app.checkpoints import BEST, LAST, load_round
from server_app.records.journal import read_journal

TINY = (
    "model.width=4 model.blocks=1 data.clips=2 data.held_out_clips=1 data.frames=4 data.height=8 data.width=8"
    " partition.min_frames=2 partition.min_size=16 training.steps=1 training.batch=1 training.window=2"
    " training.patch=4 rounds=2 run.root={root}"
)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def serve(root):
    """Runs the ServerApp with a run-config."""

    def run(grid, overrides="", **choices):
        run_config = {"data": "synthetic", "overrides": f"{TINY.format(root=root)} {overrides}", **choices}
        app(grid, Context(1, 1, {}, RecordDict(), run_config))

    return run


@pytest.fixture
def resume(root):
    """Runs the ServerApp to continue the only run that there is."""

    def run(grid, overrides="", **choices):
        (folder,) = root.iterdir()
        app(
            grid,
            Context(1, 1, {}, RecordDict(), {"overrides": f"run.resume={folder} {overrides}", **choices}),
        )

    return run


def test_what_a_run_leaves(serve, client_grid, root, caplog):
    caplog.set_level(logging.INFO, "server_app")
    serve(client_grid(2))
    (folder,) = root.iterdir()
    assert folder.name.endswith("-fedvsr_ahead-recurrent")
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} >= {
        "checkpoints", "config.yaml",
        "crops.png", "journal.jsonl", "losses.png", "provenance.json", "psnr.png",
        "run.log", "summary.md", "weights.png",
    }  # fmt: skip
    lines = read_journal(folder / "journal.jsonl")
    assert (lines[0]["phase"], lines[0]["clients"], lines[0]["strategy"]) == ("start", 2, "fedvsr_ahead")
    assert (lines[-1]["phase"], lines[-1]["outcome"]) == ("end", "completed")
    told = [text for text in caplog.messages if text == f"run directory: {folder}"]
    assert len(told) == 2  # at the start and at the end
    assert f"run directory: {folder}" in (folder / "run.log").read_text()
    facts = json.loads((folder / "provenance.json").read_text())
    assert (facts["seed"], facts["code"]) == (0, code_digest())


def test_it_goes_on_where_it_was_killed(serve, resume, client_grid, root, tmp_path):
    serve(client_grid(2))
    (whole,) = root.iterdir()
    whole = whole.rename(tmp_path / "whole")
    grid = client_grid(2)

    def kill(reply):
        if load_round(next(root.glob("*/checkpoints")) / LAST).round == 1:
            raise KeyboardInterrupt
        return reply

    grid.spoil[1] = kill
    with pytest.raises(KeyboardInterrupt):
        serve(grid)
    (folder,) = root.iterdir()
    assert read_journal(folder / "journal.jsonl")[-1]["outcome"] == "KeyboardInterrupt()"
    resume(client_grid(2, first_node=900))
    assert [path.name for path in root.iterdir()] == [folder.name]
    lines = read_journal(folder / "journal.jsonl")
    assert [line["resumed-after"] for line in lines if "resumed-after" in line] == [1]
    assert lines[-1]["outcome"] == "completed"
    for name in (LAST, BEST):
        assert (folder / "checkpoints" / name).read_bytes() == (whole / "checkpoints" / name).read_bytes()


def test_training_is_the_same_and_a_resume_ends_with_the_same_bytes(
    serve, resume, client_grid, root, tmp_path
):
    serve(client_grid(2), "evaluation.ema=0.9")
    averaged = next(root.iterdir()).rename(tmp_path / "averaged")
    serve(client_grid(2))
    plain = next(root.iterdir()).rename(tmp_path / "plain")
    one, two = (load_round(path / "checkpoints" / LAST) for path in (averaged, plain))
    before = {f"before/{name}" for name in one.state}
    assert set(one.strategy_state) == {f"trained/{name}" for name in one.state} | before
    assert set(two.strategy_state) == before
    for name, tensor in two.state.items():
        np.testing.assert_array_equal(one.strategy_state[f"trained/{name}"], tensor)
    assert any(not torch.equal(tensor, two.state[name]) for name, tensor in one.state.items())
    assert one.score != two.score

    grid = client_grid(2)

    def kill(reply):
        if load_round(next(root.glob("*/checkpoints")) / LAST).round == 1:
            raise KeyboardInterrupt
        return reply

    grid.spoil[1] = kill
    with pytest.raises(KeyboardInterrupt):
        serve(grid, "evaluation.ema=0.9")
    resume(client_grid(2))
    (folder,) = root.iterdir()
    assert (folder / "checkpoints" / LAST).read_bytes() == (averaged / "checkpoints" / LAST).read_bytes()


def test_a_run_that_was_killed_after_its_last_checkpoint_comes_to_its_end(serve, resume, client_grid, root):
    serve(client_grid(2))
    (folder,) = root.iterdir()
    journal = folder / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    (folder / "summary.md").unlink()
    resume(client_grid(2))
    assert read_journal(journal)[-1]["outcome"] == "completed"
    assert (folder / "summary.md").exists()
    resume(client_grid(2))  # once is enough
    assert [line["phase"] for line in read_journal(journal)].count("end") == 1


def test_a_run_that_ended_before_its_first_checkpoint(serve, resume, client_grid, root):
    grid = client_grid(2)
    grid.nodes = []
    with pytest.raises(errors.FederationError, match="nodes must take part"):
        serve(grid, "cohort.wait_s=0.01")
    resume(client_grid(2))
    (folder,) = root.iterdir()
    assert load_round(folder / "checkpoints" / LAST).round == 2


def test_a_run_that_fails_says_why_at_its_end(serve, client_grid, root, caplog):
    grid = client_grid(2)
    grid.spoil[0] = lambda reply: reply.content["about"].update(code="0" * 16) or reply
    grid.spoil[1] = grid.spoil[0]
    with pytest.raises(errors.FederationError, match="2 rounds in a row, up to round 2, have had too few"):
        serve(grid)
    (folder,) = root.iterdir()
    assert "too few sound replies" in read_journal(folder / "journal.jsonl")[-1]["outcome"]
    assert (folder / "summary.md").is_file()
    assert f"{errors.REFUSED}2 rounds in a row, up to round 2" in caplog.text  # so that nobody continues it


@pytest.mark.parametrize(
    ("overrides", "choices", "error", "sentence"),
    [
        ("rounds=0", {}, errors.ConfigurationError, "rounds: Input should be greater"),
        ("", {"strategy": "fedvsrr"}, errors.ConfigurationError, "did you mean 'fedvsr'"),
        ("model.width=0", {}, errors.ConfigurationError, "width, blocks and scale must be at least 1"),
        (
            "strategy.server.threshold=7",
            {},
            (errors.ConfigurationError, errors.AggregationError),
            "threshold",
        ),
        (
            "optimiser.lr=-1",
            {},
            errors.ConfigurationError,
            "optimiser.lr: input should be greater than or equal to 0, got -1",
        ),
        ("loss.parts.charbonnier.weight=x", {}, errors.ConfigurationError, "WeightedSum: "),
        ("data.held_out_clips=0", {}, errors.DataError, "expected held-out clips"),
        ("run.root=runs", {}, errors.ConfigurationError, "must be an absolute path"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_before_anyone_is_asked(
    serve, client_grid, root, overrides, choices, error, sentence
):
    grid = client_grid(2)
    with pytest.raises(error, match=sentence):
        serve(grid, overrides, **choices)
    assert grid.pushed == []
    assert not root.exists()
    assert not Path("runs").exists()


def test_a_resumed_run_stays_what_it_was(serve, resume, client_grid, root):
    serve(client_grid(2))
    grid = client_grid(2)
    with pytest.raises(errors.ConfigurationError, match="keeps what it computes: seed is 0, not 1; leave"):
        resume(grid, "seed=1")
    with pytest.raises(errors.ConfigurationError, match=r"computes: strategy is .*, not fedavg; leave"):
        resume(grid, strategy="fedavg")
    assert grid.pushed == []


def test_there_is_no_run_to_resume(client_grid, tmp_path):
    context = Context(1, 1, {}, RecordDict(), {"overrides": f"run.resume={tmp_path}"})
    with pytest.raises(errors.ConfigurationError, match=f"there is none in '{tmp_path}'"):
        app(client_grid(2), context)


def test_the_sentence_comes_before_the_traceback(serve, client_grid, caplog):
    with pytest.raises(errors.DataError):
        serve(client_grid(2), "data.held_out_clips=0")
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        f"{errors.REFUSED}expected held-out clips to score the model on, got none;"
        " name a folder of them, for example data.held_out_folder=/absolute/folder"
    ]


def test_it_leaves_no_log_handlers(serve, client_grid):
    before = [list(logging.getLogger(name).handlers) for name in ("server_app", "fedvsr_core")]
    with pytest.raises(errors.DataError):
        serve(client_grid(2), "data.held_out_clips=0")
    assert [logging.getLogger(name).handlers for name in ("server_app", "fedvsr_core")] == before


def test_a_report_that_cannot_be_drawn_fails_no_run(serve, resume, client_grid, root, monkeypatch, caplog):
    def broken(*words):
        raise ZeroDivisionError("no picture")

    with monkeypatch.context() as patch:
        patch.setattr("server_app.app.write_report", broken)
        serve(client_grid(2))
    (run_dir,) = root.iterdir()
    assert "the report can't be written; to try again: fedvsr report" in caplog.text
    assert read_journal(run_dir / "journal.jsonl")[-1]["outcome"] == "completed"
    assert not (run_dir / "summary.md").exists()
    resume(client_grid(2))  # as after a run that was killed while it drew
    assert (run_dir / "summary.md").exists()


def test_what_a_client_says_is_never_a_line_of_our_log():
    record = logging.LogRecord(
        "x", logging.INFO, "", 0, "left out %s", ("a\n10:00:00  run directory: b",), None
    )
    first, second = _OneLine("%(asctime)s  %(message)s", "%H:%M:%S").format(record).split("\n")
    assert first.endswith("  left out a")
    assert second == "    10:00:00  run directory: b"
