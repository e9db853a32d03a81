"""Promises: what a round's updates report becomes rows, and who is left out is kept."""

import math

import pytest

from server_app.asking import Refusal
from server_app.round_log import RoundLog
from server_app.screening import Screened
from tests.unit.server_app.sites import Received


@pytest.fixture
def log():
    return RoundLog("round 2/8", of=3)


def test_a_row_for_each_client_that_was_let_in(log, sites):
    received = Received(sites, [sites.reply(1), sites.reply(0), sites.reply(2, loss=-1.0)])
    assert [update.client for update in log.updates(received)] == ["c1", "c0"]
    assert [row["client"] for row in log.rows] == ["c1", "c0"]  # as they arrived
    assert log.rows[1].pop("reply-seconds") >= 0
    assert log.rows[1] == {
        "client": "c0",
        "node": "100",
        "loss": 0.02,
        "parts": {"charbonnier": 0.01},
        "examples": 10,
        "steps": 5,
        "seconds": 1.0,
        "peak-memory-mb": 100.0,
        "device": "cpu",
        "batches": "cd",
    }
    assert [(refusal.client, refusal.code) for refusal in log.refused] == [("c2", "loss")]


def test_rows_with_weights_are_in_order(log, sites):
    list(log.updates(Received(sites, [sites.reply(1), sites.reply(0)])))
    rows = log.weighted_rows({"c0": 0.25, "c1": 0.75})
    assert [(row["client"], row["weight"]) for row in rows] == [("c0", 0.25), ("c1", 0.75)]
    assert [row["weight"] for row in log.weighted_rows({})] == [None, None]


def test_privacy_is_told(log, sites):
    withheld = {"loss": math.nan, "parts": {"charbonnier": math.nan}}
    list(log.updates(Received(sites, [sites.reply(0, epsilon=2.0, delta=1e-5, **withheld)])))
    assert (log.rows[0]["epsilon"], log.rows[0]["delta"]) == (2.0, 1e-5)


def test_the_log_says_who_has_trained(log, sites, caplog):
    caplog.set_level("INFO", "server_app")
    list(log.updates(Received(sites, [sites.reply(0)])))
    assert caplog.messages == ["round 2/8: c0 trained 5 steps in 1 s, loss 0.02000 (1 of 3)"]


def test_updates_pass_one_at_a_time(log, sites):
    for number, _ in enumerate(log.updates(Received(sites, [sites.reply(k) for k in range(3)])), start=1):
        assert len(log.rows) == number


def test_what_became_of_the_updates(log, sites):
    updates = list(log.updates(Received(sites, [sites.reply(1), sites.reply(0)])))
    refusal = Refusal("c1", 101, "opposed", "x")
    log.screened(Screened(updates[1:], [refusal], {"c0": {"norm": 2.0}, "c1": {"norm": 9.0}}))
    assert [(row["client"], row["norm"]) for row in log.rows] == [("c0", 2.0)]
    assert log.refused == [refusal]
