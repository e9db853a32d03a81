"""A folder of runs at a glance: which run, which ended how, which can go on, and the best score of each."""

import subprocess
import sys

import pytest

from fedvsr.runs import runs_in, state_of
from server_app.checkpoints import LAST
from server_app.records.journal import Journal
from server_app.records.run_dir import RunDir

HOLDER = """
import sys
from server_app.records.run_dir import RunDir
with RunDir.open(sys.argv[1]).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def left(tmp_path, journal):
    """Makes a run directory with the first lines of the journal, and more."""

    def make(count=None, *more, checkpoint=True):
        run = RunDir.create(str(tmp_path), ["fedvsr", "recurrent"])
        with Journal(run.journal) as file:
            for line in [*journal[:count], *more]:
                file.append(line)
        if checkpoint:
            (run.checkpoints / LAST).touch()
        return run

    return make


def test_a_completed_run(left):
    seen = state_of(left())
    assert (seen.state, seen.reason, seen.resumable) == ("completed", "", False)
    assert (seen.strategy, seen.model, seen.done, seen.rounds) == ("fedvsr", "recurrent", 3, 3)
    assert (seen.best.round, seen.best.mean["psnr-y"]) == (2, 28.5)  # 24 and 32, raised by 0.5


def test_a_run_that_failed_says_why(left):
    seen = state_of(left(5, {"phase": "end", "seconds": 1.0, "outcome": "2 nodes must take part, 1 does"}))
    assert (seen.state, seen.reason) == ("failed", "2 nodes must take part, 1 does")
    assert (seen.resumable, seen.done) == (True, 2)


def test_a_killed_run_is_no_running_one(left):
    assert (state_of(left(4)).state, state_of(left(4)).resumable) == ("killed", True)


def test_without_a_checkpoint_nothing_can_go_on(left):
    assert not state_of(left(1, checkpoint=False)).resumable


def test_the_end_of_an_earlier_attempt_does_not_count(left, journal):
    assert state_of(left(None, journal[0])).state == "killed"


def test_a_running_run(left):
    run = left(4)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "locked\n"
        assert (state_of(run).state, state_of(run).resumable) == ("running", False)
        holder.communicate()
    assert state_of(run).state == "killed"


def test_a_run_that_waits_for_its_nodes(left):
    seen = state_of(left(0, checkpoint=False))
    assert (seen.strategy, seen.done, seen.rounds, seen.best) == ("", 0, None, None)


def test_a_damaged_journal_hides_no_other_run(left, tmp_path):
    left().journal.write_text("{}\nnot json\n{}\n")
    left()
    (tmp_path / "else").mkdir()
    assert sorted(run.state for run in runs_in(tmp_path)) == ["completed", "damaged"]
