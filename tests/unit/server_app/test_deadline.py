"""Promises: a round waits as its bytes, the slowest link and the replies so far ask for, or as it is told."""

import pytest

from server_app.deadline import Deadline


@pytest.fixture
def deadline(tiny):
    """Makes one of a run with some overrides, which has seen replies take some seconds."""

    def make(overrides="", replied=()):
        made = Deadline(tiny(overrides))
        made.learn([{"reply-seconds": seconds} for seconds in replied])
        return made

    return make


def test_before_any_reply(deadline):
    # 10 MB there and back are 160 Mbit, over 10 Mbit/s 16 s; an hour for the work, or a minute a step
    assert deadline().limit_s(10_000_000) == 16 + 3600
    assert deadline("training.steps=100").limit_s(10_000_000) == 16 + 6000
    assert deadline("cohort.link_mbit=1").limit_s(10_000_000) == 160 + 3600


def test_by_the_longest_reply_so_far(deadline):
    known = deadline()
    known.learn([{"reply-seconds": 20.0}, {"reply-seconds": 30.0}])
    assert known.limit_s(0) == 300  # ten times 30 s
    known.learn([{"reply-seconds": 15.0}, {}])
    assert known.limit_s(10_000_000) == 316
    assert deadline("cohort.deadline_factor=4", [30.0]).limit_s(0) == 120


def test_never_less_than_it_takes_to_start(deadline):
    assert deadline(replied=[0.5]).limit_s(0) == 120


def test_a_time_that_is_given(deadline):
    known = deadline("cohort.timeout_s=7", [100.0])
    assert known.limit_s(10**9) == 7
