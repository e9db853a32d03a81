"""Promises: a round waits as its bytes, the slowest link and the replies so far ask for, or as it is told."""

import pytest

from server_app.deadline import Deadline


@pytest.fixture
def patience(tiny):
    """Makes one of a run with some overrides."""
    return lambda overrides="", replied=(): Deadline(tiny(overrides), replied)


def test_before_any_reply(patience):
    # 10 MB there and back are 160 Mbit, over 10 Mbit/s 16 s; an hour for the work, or a minute a step
    assert patience().limit_s(10_000_000) == 16 + 3600
    assert patience("training.steps=100").limit_s(10_000_000) == 16 + 6000
    assert patience("cohort.link_mbit=1").limit_s(10_000_000) == 160 + 3600


def test_by_the_longest_reply_so_far(patience):
    known = patience()
    known.learn([{"reply-seconds": 20.0}, {"reply-seconds": 30.0}])
    assert known.limit_s(0) == 300  # ten times 30 s
    known.learn([{"reply-seconds": 15.0}, {}])
    assert known.limit_s(10_000_000) == 316
    assert patience("cohort.patience=4", [30.0]).limit_s(0) == 120


def test_never_less_than_it_takes_to_start(patience):
    assert patience(replied=[0.5]).limit_s(0) == 120


def test_a_time_that_is_given(patience):
    known = patience("cohort.timeout_s=7", [100.0])
    assert known.limit_s(10**9) == 7
