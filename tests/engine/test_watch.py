"""Promises: a run is seen live in terminal and browser; ended and resumed meanwhile, it goes on there."""

import os
import signal
from pathlib import Path

import pytest

from tests.engine.watching import watched

TWO = "num-supernodes=2 client-resources-num-cpus=1 init-args-num-cpus=1"
SIZE = "training.batch=2 data.frames=8 data.height=16 data.width=16 data.held_out_clips=2"


@pytest.mark.long
def test_a_run_that_is_ended_and_resumed_while_it_is_watched(federation, faulty_app, tmp_path):
    federation.faults({"2": {"1": "hang"}})  # so that the watchers have the time that they take to start
    run = federation.submit(faulty_app, overrides=f"rounds=4 {SIZE}", federation=TWO)
    run.wait_until(lambda: run.done == 1, "the first round")
    with watched(run.dir, tmp_path / "watching") as seen:
        seen.says("1 of 4 rounds", "Running")
        seen.terminal_says("running", "round 1 of 4", "PSNR-Y above bicubic", "partition-1", "left")
        seen.terminal_says("round 2: trained")  # the one that doesn't hang
        keep(seen, "running")
        run.kill_server(signal.SIGTERM)
        seen.says("Killed: it left no last word")
        seen.terminal_says("killed", "it can be resumed")
        keep(seen, "killed")
        federation.faults({"4": {"1": "hang"}})
        again = federation.resume(faulty_app, run, federation=TWO)
        seen.says("3 of 4 rounds", "Running")
        seen.terminal_says("running", "round 3 of 4")
        federation.let_go()
        again.finish()
        seen.says("4 of 4 rounds", "Completed")
        seen.terminal_says("completed", "round 4 of 4", "ended with 0")
        keep(seen, "completed")
        assert seen.page.complaints == []
        assert {request for request in seen.page.requests if not request.startswith(seen.address)} == set()
        assert seen.page.ask("document.querySelectorAll('figure svg path.line').length") > 5


def keep(seen, name):
    """Keep how it looks, where SCREENSHOTS names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        seen.page.picture(Path(folder) / f"watched-{name}.png")
        (Path(folder) / f"watched-{name}.txt").write_text(seen.screen())
