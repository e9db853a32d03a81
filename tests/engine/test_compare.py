"""A comparison in the real engine, stopped half-way and continued."""

import json
import os
import subprocess
import sys
import time

import pytest

from fedvsr.comparison.entries import Entry
from fedvsr.comparison.trials import trials_of
from server_app.records.journal import COMPLETED
from tests.engine.conftest import LIMIT_S

STRATEGIES = ("fedavg", "fedprox", "scaffold")
SIZE = "training.batch=1 data.clips=4 data.held_out_clips=1 data.frames=8 data.height=16 data.width=16"


@pytest.mark.long
def test_three_strategies_and_two_seeds_stopped_and_continued(federation, app, tmp_path):
    folder = tmp_path / "a comparison"
    words = [
        sys.executable, "-m", "fedvsr.cli.main", "compare", "--strategies", ",".join(STRATEGIES),
        "--seeds", "0,1", "--experiment", "smoke", "--overrides", SIZE, "--clients", "2", "--app", str(app),
        "--federation-config", "client-resources-num-cpus=1 init-args-num-cpus=2", "--output", str(folder),
    ]  # fmt: skip
    environment = {**os.environ, **federation.environment, "PYTHONPATH": str(app)}
    entries = [Entry(name, name, name, "", 2) for name in STRATEGIES]
    trials = list(trials_of(entries, (0, 1), folder / "trials"))

    first = subprocess.Popen(words, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + LIMIT_S
    while trials[2].rounds < 1:  # in the third of six trials
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    first.terminate()
    assert "the same command continues" in first.communicate(timeout=LIMIT_S)[0]
    assert first.returncode == 130
    assert [trial.outcome for trial in trials[:2]] == [COMPLETED] * 2
    assert trials[3].run() is None
    before = [trial.run().journal.read_bytes() for trial in trials[:2]]

    second = subprocess.run(
        words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=6 * LIMIT_S
    )
    assert second.returncode == 0, second.stdout + second.stderr
    assert [trial.outcome for trial in trials] == [COMPLETED] * 6
    assert [trial.run().journal.read_bytes() for trial in trials[:2]] == before  # not run again
    assert [len(list(trial.root.iterdir())) for trial in trials] == [1] * 6  # continued in place
    assert {path.name for path in folder.iterdir()} >= {
        "README.md", "plan.json", "scores.md", "scores.csv", "scores.tex", "overhead.md", "overhead.csv",
        "psnr-y.png", "psnr-y.svg", "crops.png",
    }  # fmt: skip
    rows = (folder / "scores.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [[name, "2"] for name in STRATEGIES]

    # A journal that shows another budget: no table is written.
    journal = trials[4].run().journal
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    next(line for line in lines if line["phase"] == "train")["clients"][0]["steps"] += 1
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    third = subprocess.run(
        words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert third.returncode == 1
    assert "aren't comparable" in " ".join(third.stderr.split())
