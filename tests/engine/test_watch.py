"""Promises: a run is seen live in terminal and browser; ended and resumed meanwhile, it goes on there."""

import os
import signal
from pathlib import Path

import pytest

from tests.engine.watching import watched

TWO = "num-supernodes=2 client-resources-num-cpus=1 init-args-num-cpus=1"
ROUNDS = 60  # the watchers take their time to start
SIZE = "training.batch=2 data.frames=8 data.height=16 data.width=16 data.held_out_clips=2"


@pytest.mark.slow
def test_a_run_that_is_ended_and_resumed_while_it_is_watched(federation, app, tmp_path):
    run = federation.submit(app, overrides=f"rounds={ROUNDS} {SIZE}", federation=TWO)
    run.wait_until(lambda: run.dir.journal.exists(), "the journal")
    with watched(run.dir, tmp_path / "watching") as seen:
        seen.says(f"of {ROUNDS} rounds", "Running")
        seen.changes()
        seen.terminal_says("running", f"of {ROUNDS}", "PSNR-Y above", "partition-0", "left")
        keep(seen, "running")
        run.kill_server(signal.SIGTERM)
        seen.says("Killed: it left no last word")
        seen.terminal_says("killed", "it can be resumed")
        keep(seen, "killed")
        again = federation.resume(app, run, federation=TWO)
        seen.says("Running")
        seen.terminal_says("running")
        again.finish()
        seen.says(f"{ROUNDS} of {ROUNDS} rounds", "Completed")
        seen.terminal_says("completed", f"round {ROUNDS} of {ROUNDS}", "ended with 0")
        keep(seen, "completed")
        assert seen.page.complaints == []
        assert {request for request in seen.page.requests if not request.startswith(seen.address)} == set()
        assert seen.page.ask("document.querySelectorAll('figure svg path.line').length") > 5


def keep(seen, name):
    """Keep how it looks, where SCREENSHOTS names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        seen.page.picture(Path(folder) / f"watched-{name}.png")
        (Path(folder) / f"watched-{name}.txt").write_text(seen.screen())
