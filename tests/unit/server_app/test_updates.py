"""Promises: sound replies become updates, one by one; the others are refused, with who, what and why."""

import gc
import math
import re
import weakref

import numpy as np
import pytest
from flwr.app import Array, ConfigRecord, MetricRecord, RecordDict

from fedvsr_core.flower.arrays import record_from_arrays
from fedvsr_core.flower.differences import to_differences
from tests.unit.server_app.sites import Received


def receive(sites, replies, **options):
    return Received(sites, replies, **options).all()


def refusals(received):
    return [(refusal.client, refusal.code) for refusal in received.refused]


def test_sound_replies_become_updates(sites):
    received = receive(sites, [sites.reply(k) for k in (2, 0, 3, 1)]).close()
    assert [update.client for update in received.updates] == ["c2", "c0", "c3", "c1"]
    assert [update.node for update in received.updates] == [102, 100, 103, 101]
    assert received.refused == []
    first = received.updates[0]
    assert (first.examples, first.loss, first.report) == (30, 0.06, sites.report(2))
    assert list(first.arrays) == list(sites.model)
    for name, array in sites.arrays(2).items():
        np.testing.assert_array_equal(first.arrays[name], array)
        assert not first.arrays[name].flags.writeable


def test_an_update_shares_the_bytes_that_came_and_keeps_no_message(sites):
    reply = sites.reply(0)
    array, alive = reply.content["arrays"]["conv.weight"], weakref.ref(reply)
    replies = [reply]
    del reply
    (update,) = receive(sites, (replies.pop() for _ in range(1))).updates
    gc.collect()
    assert alive() is None
    assert update.record()["conv.weight"].data is array.data
    assert np.shares_memory(update.arrays["conv.weight"], np.frombuffer(array.data, np.uint8))


def test_one_at_a_time(sites):
    taken, alive = [], []

    def make(k):
        taken.append(k)
        reply = sites.reply(k)
        alive.append(weakref.ref(reply))
        return reply

    for number, update in enumerate(Received(sites, map(make, range(4)))):
        assert update.client == f"c{number}"
        assert taken == list(range(number + 1))
        gc.collect()
        assert [reply() for reply in alive] == [None] * len(taken)


def test_differences_become_whole_arrays(sites):
    trained = record_from_arrays(sites.arrays(0))
    reply = sites.reply(0, arrays=to_differences(trained, sites.reference))
    assert {array.dtype for array in reply.content["arrays"].values()} == {"float16"}
    (update,) = receive(sites, [reply], differences=True).updates
    assert list(update.record()) == list(sites.model)
    for name, array in sites.arrays(0).items():
        np.testing.assert_allclose(update.arrays[name], array, atol=1e-4)
        assert update.arrays[name].dtype == np.float32
        np.testing.assert_array_equal(update.record()[name].numpy(), update.arrays[name])
    assert update.model.norm == pytest.approx(
        receive(sites, [sites.reply(0)]).updates[0].model.norm, rel=1e-3
    )
    assert refusals(receive(sites, [reply])) == [("c0", "dtype")]


def test_a_lost_upload_is_not_even_read(sites):
    received = receive(sites, [sites.reply(0), sites.reply(1)], lost={"c0"}).close()
    assert [update.client for update in received.updates] == ["c1"]
    assert refusals(received)[0] == ("c0", "lost")


def changed(sites, name, value):
    return {**sites.arrays(1), name: np.asarray(value)}


def with_record(sites, name, record):
    reply = sites.reply(1)
    reply.content[name] = record
    return reply


def without(sites, name):
    reply = sites.reply(1)
    del reply.content[name]
    return reply


def with_array(sites, **fields):
    record = sites.reference
    array = record["conv.bias"]
    known = {"dtype": array.dtype, "shape": array.shape, "stype": array.stype, "data": array.data}
    record["conv.bias"] = Array(**(known | fields))
    return sites.reply(1, arrays=record)


CASES = {
    "no report": ("report", "can't be read", lambda f: without(f, "metrics")),
    "loss missing": ("report", "KeyError", lambda f: with_record(f, "metrics", MetricRecord({"loss": 0.1}))),
    "infinite count": (
        "report",
        "OverflowError",
        lambda f: with_record(f, "metrics", numbers(f, examples=math.inf)),
    ),
    "count of nan": (
        "report",
        "ValueError",
        lambda f: with_record(f, "metrics", numbers(f, examples=math.nan)),
    ),
    "list": (
        "report",
        "must be a number, got list",
        lambda f: with_record(f, "metrics", numbers(f, loss=[1.0])),
    ),
    "extra number": (
        "report",
        "more than was asked: 'own'",
        lambda f: with_record(f, "metrics", numbers(f, own=1)),
    ),
    "extra numbers": (
        "report",
        "'metrics', 'more'",
        lambda f: with_record(f, "more", MetricRecord({"a": 1})),
    ),
    "no steps": ("report", "steps", lambda f: f.reply(1, steps=0)),
    "backwards": ("report", "seconds", lambda f: f.reply(1, seconds=-1.0)),
    "endless": ("report", "seconds", lambda f: f.reply(1, seconds=1e8)),
    "tireless": ("report", "steps", lambda f: f.reply(1, steps=10**12)),
    "elephant": ("report", "memory", lambda f: f.reply(1, peak_memory_mb=1e10)),
    "no memory": ("report", "memory", lambda f: f.reply(1, peak_memory_mb=math.nan)),
    "novel": ("report", "more than 200 letters", lambda f: f.reply(1, device="x" * 201)),
    "other parts": (
        "report",
        "it reports 'high-frequency'",
        lambda f: f.reply(1, parts={"high-frequency": 1.0}),
    ),
    "no examples": ("examples", "reports 0 examples", lambda f: f.reply(1, examples=0)),
    "negative": ("examples", "reports -5 examples", lambda f: f.reply(1, examples=-5)),
    "too many": ("examples", "reports 10000001 examples", lambda f: f.reply(1, examples=10_000_001)),
    "no loss": ("loss", "a loss of 0.0", lambda f: f.reply(1, loss=0.0)),
    "loss below zero": ("loss", "a loss of -0.1", lambda f: f.reply(1, loss=-0.1)),
    "loss of nan": ("loss", "a loss of nan", lambda f: f.reply(1, loss=math.nan)),
    "loss of inf": ("loss", "a loss of inf", lambda f: f.reply(1, loss=math.inf)),
    "huge loss": ("loss", "a loss of 2000000.0", lambda f: f.reply(1, loss=2e6)),
    "part of nan": ("loss", "parts of the loss", lambda f: f.reply(1, parts={"charbonnier": math.nan})),
    "no arrays": ("names", "got none", lambda f: without(f, "arrays")),
    "two records": ("names", "got 'arrays', 'more'", lambda f: with_record(f, "more", f.reference)),
    "array missing": (
        "names",
        "'scale' differ",
        lambda f: f.reply(1, arrays={"conv.bias": f.model["conv.bias"]}),
    ),
    "array extra": ("names", "'x' differ", lambda f: f.reply(1, arrays=changed(f, "x", 1.0))),
    "double": (
        "dtype",
        "must be float32, got float64",
        lambda f: f.reply(1, arrays=changed(f, "scale", 0.5)),
    ),
    "false dtype": ("dtype", "float64 as it says, got float32", lambda f: with_array(f, dtype="float64")),
    "pickle": ("dtype", "must come as", lambda f: with_array(f, stype="pickle")),
    "no file": ("dtype", "numpy's file format", lambda f: with_array(f, data=b"\x80\x04N.")),
    "cut": ("dtype", "16 bytes, got 15", lambda f: with_array(f, data=f.reference["conv.bias"].data[:-1])),
    "shape": (
        "shape",
        r"\(4,\), got \(1,\)",
        lambda f: f.reply(1, arrays=changed(f, "conv.bias", np.ones(1, "f4"))),
    ),
    "false shape": ("shape", r"\(2, 2\) as it says, got \(4,\)", lambda f: with_array(f, shape=(2, 2))),
    "nan": ("non-finite", "'scale'", lambda f: f.reply(1, arrays=changed(f, "scale", np.float32(math.nan)))),
    "inf": ("non-finite", "'scale'", lambda f: f.reply(1, arrays=changed(f, "scale", np.float32(-math.inf)))),
    "absurd": (
        "non-finite",
        "below 1048576",
        lambda f: f.reply(1, arrays=changed(f, "scale", np.float32(2e6))),
    ),
    "giant step": ("norm", "can.t move it further", lambda f: f.reply(1, arrays=f.arrays(1, size=10.0))),
}


def numbers(sites, **changes):
    record = MetricRecord(dict(sites.report(1).pack()["metrics"]))
    for name, value in changes.items():
        record[{"examples": "num-examples"}.get(name, name)] = value
    return record


@pytest.mark.parametrize(("code", "why", "make"), CASES.values(), ids=CASES)
def test_refuses(code, why, make, sites):
    received = receive(sites, [sites.reply(0), make(sites)], parts=["charbonnier"], furthest=2.0)
    assert [update.node for update in received.updates] == [100]
    [refusal] = received.refused
    assert (refusal.client, refusal.node, refusal.code) == ("c1", 101, code)
    assert re.search(why, refusal.reason), refusal.reason
    assert len(refusal.reason) <= 300


def test_loss_parts_are_free_unless_named(sites):
    replies = [sites.reply(0, parts={"own": 1.0}), sites.reply(1, parts={})]
    assert len(receive(sites, replies).updates) == 2


def test_not_so_many_parts(sites):
    reply = sites.reply(1, parts={f"part-{number}": 0.1 for number in range(100_000)})
    (refusal,) = Received(sites, [reply]).all().refused
    assert (refusal.code, refusal.reason[-40:]) == ("report", "emory or parts of the loss make no sense")


def test_more_words_are_harmless(sites):
    reply = sites.reply(0)
    reply.content["more"] = ConfigRecord({"a": "b"})
    assert len(receive(sites, [reply]).updates) == 1


def test_norms_by_hand(make_sites):
    sites = make_sites(2)
    step = {name: array.copy() for name, array in sites.model.items()}
    step["conv.bias"] += np.array([3, 0, 0, 0], np.float32)
    step["scale"] = np.asarray(step["scale"] + np.float32(4))
    received = receive(sites, [sites.reply(0, arrays=step), sites.failure(1)])
    assert received.updates[0].model.norm == pytest.approx(5.0)


def test_nobody_goes_further_than_the_optimiser(sites):
    norm = receive(sites, [sites.reply(0)]).updates[0].model.norm
    assert refusals(receive(sites, [sites.reply(0)], furthest=1.001 * norm)) == []
    (refusal,) = receive(sites, [sites.reply(0)], furthest=0.999 * norm).refused
    assert re.fullmatch(
        r"its update has the norm [\d.]+, and the optimiser can't move it further than [\d.]+", refusal.reason
    )
    private_one = private(sites)
    assert refusals(receive(sites, [private_one], furthest=0.01)) == []  # noise isn't the optimiser's


def test_content_type_confusion(sites):
    about = sites.report(0).pack()["about"]
    content = RecordDict({"arrays": MetricRecord({"a": 1}), "metrics": sites.reference, "about": about})
    assert refusals(receive(sites, [sites.reply(0, content)])) == [("c0", "report")]


def test_a_further_record_is_measured_from_zero(sites):
    def with_variates(k, size):
        reply = sites.reply(k)
        arrays = {name: np.full_like(array, size) for name, array in sites.model.items()}
        reply.content["variates"] = record_from_arrays(arrays)
        return reply

    values = sum(array.size for array in sites.model.values())
    received = receive(sites, [with_variates(0, 0.0), with_variates(1, 1.0)], extra=["variates"])
    assert [update.extra["variates"].norm for update in received.updates] == pytest.approx(
        [0.0, math.sqrt(values)]
    )


def test_a_reply_must_carry_every_record(sites):
    assert refusals(receive(sites, [sites.reply(0)], extra=["variates"])) == [("c0", "names")]


def private(sites, **numbers):
    """A reply of a site that keeps its losses."""
    kept = {"loss": math.nan, "parts": {"charbonnier": math.nan}, "epsilon": 1.0, "delta": 1e-5}
    return sites.reply(1, **{**kept, **numbers})


def test_a_loss_may_be_kept_for_privacy(sites):
    (update,) = receive(sites, [private(sites)]).updates
    assert math.isnan(update.loss)


def test_where_losses_decide_such_a_reply_is_of_no_use(sites):
    received = receive(sites, [private(sites)], needs_loss=True)
    assert refusals(received) == [("c1", "privacy")]
    assert "take strategy=fedavg" in received.refused[0].reason


def test_a_loss_that_is_told_is_checked_as_ever(sites):
    assert refusals(receive(sites, [private(sites, loss=-1.0)])) == [("c1", "loss")]
