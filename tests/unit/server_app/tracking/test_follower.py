"""Promises: a tracker hears of every line; one that fails, hangs or is missing never ends a run."""

import logging
import threading

import pytest

from fedvsr_core.errors import MissingToolError
from server_app.tracking import follower, trackers
from server_app.tracking.follower import Follower
from server_app.tracking.trackers import check_installed
from tests.pages import long_journal, run_with


class Recorder:
    """A tracker in this process."""

    def __init__(self, fails_at=None, hangs=False):
        self.heard, self.pictures, self.finished = [], [], False
        self._fails_at, self._hangs = fails_at, hangs

    def numbers(self, server_round, values):
        if self._hangs:
            threading.Event().wait()
        if server_round == self._fails_at:
            raise ConnectionError("the server of the tracker is gone")
        self.heard.append(server_round)

    def picture(self, server_round, name, pixels):
        self.pictures.append((server_round, name, pixels.shape))

    def finish(self):
        self.finished = True


@pytest.fixture
def follow(tmp_path, monkeypatch):
    """Lets a recorder follow a journal of three rounds."""

    def begin(recorder):
        lines = long_journal(3, 2)
        run = run_with(tmp_path, lines, crops=(0, 1, 2, 3))
        monkeypatch.setattr(follower, "tracker", lambda name, run, about: recorder)
        listener = Follower("tensorboard", run)
        for line in lines:
            listener(line)
        return recorder

    return begin


def test_all_lines_arrive_with_crops(follow):
    recorder = follow(Recorder())
    assert recorder.heard == [0, 1, 1, 2, 2, 3, 3]
    assert recorder.pictures == [(number, "crops", (256, 384, 3)) for number in range(4)]
    assert recorder.finished


def test_a_tracker_that_fails_is_said_and_left(follow, caplog):
    with caplog.at_level(logging.WARNING):
        recorder = follow(Recorder(fails_at=2))
    assert recorder.heard == [0, 1, 1]
    assert (
        "tracking by tensorboard has ended: ConnectionError('the server of the tracker is gone')"
        in caplog.text
    )
    assert "--to tensorboard' does it afterwards" in caplog.text


def test_a_tracker_that_hangs_is_not_waited_for_long(follow, caplog, monkeypatch):
    monkeypatch.setattr(follower, "LAST_S", 0.05)
    with caplog.at_level(logging.WARNING):
        follow(Recorder(hangs=True))
    assert "tensorboard hasn't taken everything" in caplog.text


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None if name == "wandb" else name)
    with pytest.raises(
        MissingToolError, match=r"wandb, which isn't installed .* pip install 'fedvsr\[wandb\]'"
    ):
        check_installed(("tensorboard", "wandb"))
    check_installed(("tensorboard", "mlflow"))
