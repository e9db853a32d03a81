"""Promises: sound replies pass untouched, one by one; each of the others is noted, with who, what and why."""

import math
import re
import weakref

import numpy as np
import pytest
from flwr.app import Array, ConfigRecord, MetricRecord, RecordDict

from fedvsr_core.flower.arrays import record_from_arrays
from server_app.norms import Norms
from server_app.screening import Refusal, Screening


def screen(sites, replies, **options):
    screening = Screening(sites.reference, sent=sites.sent, clients=sites.clients, **options)
    return list(screening.admit(replies)), screening


def test_sound_replies_pass(sites):
    replies = [sites.reply(k) for k in (2, 0, 3, 1)]
    admitted, screening = screen(sites, replies)
    screening.close()
    assert [id(reply) for reply in admitted] == [id(reply) for reply in replies]
    assert screening.refused == []


def test_one_at_a_time(sites):
    taken, alive = [], []

    def arriving():
        for k in range(4):
            taken.append(k)
            reply = sites.reply(k)
            alive.append(weakref.ref(reply))
            yield reply
            del reply

    screening = Screening(sites.reference, sent=sites.sent, clients=sites.clients)
    for number, reply in enumerate(screening.admit(arriving())):
        assert taken == list(range(number + 1))
        assert sum(one() is not None for one in alive) == 1
        del reply


def test_missing_replies_are_timeouts(sites):
    _, screening = screen(sites, [sites.reply(1), sites.failure(2)])
    screening.close()
    assert [(one.client, one.node, one.code) for one in screening.refused] == [
        ("c2", 102, "error"),
        ("c0", 100, "timeout"),
        ("c3", 103, "timeout"),
    ]


def test_a_failure_names_the_node_that_was_asked(sites):
    # the SuperLink speaks for a node that is gone: the message says who was asked
    _, screening = screen(sites, [sites.failure(2, "Traceback ...\n  File x\nMemoryError: no room\n")])
    assert screening.refused == [Refusal("c2", 102, "error", "error 2: MemoryError: no room")]


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


def emptied(reply):
    reply.__dict__["_content"] = None
    return reply


def with_array(sites, **fields):
    record = sites.reference
    array = record["conv.bias"]
    known = {"dtype": array.dtype, "shape": array.shape, "stype": array.stype, "data": array.data}
    record["conv.bias"] = Array(**(known | fields))
    return sites.reply(1, arrays=record)


CASES = {
    "failure": ("error", "error 2: it broke", lambda f: f.failure(1)),
    "silent failure": ("error", "error 5: no reason given", lambda f: f.failure(1, None, 5)),
    "empty": ("error", "it has no content", lambda f: emptied(f.reply(1))),
    "no report": ("report", "can't be read", lambda f: without(f, "metrics")),
    "no words": ("report", "can't be read", lambda f: without(f, "about")),
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
    "no memory": ("report", "memory", lambda f: f.reply(1, peak_memory_mb=math.nan)),
    "novel": ("report", "more than 200 letters", lambda f: f.reply(1, device="x" * 201)),
    "other parts": (
        "report",
        "it reports 'high-frequency'",
        lambda f: f.reply(1, parts={"high-frequency": 1.0}),
    ),
    "other name": ("identity", "says that it is 'c0'", lambda f: f.reply(1, client="c0")),
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
    "false dtype": ("dtype", "got float64, float32", lambda f: with_array(f, dtype="float64")),
    "pickle": ("dtype", "must come as", lambda f: with_array(f, stype="pickle")),
    "no file": ("dtype", "numpy's file format", lambda f: with_array(f, data=b"\x80\x04N.")),
    "cut": ("dtype", "16 bytes, got 15", lambda f: with_array(f, data=f.reference["conv.bias"].data[:-1])),
    "shape": (
        "shape",
        r"\(4,\), got \(1,\)",
        lambda f: f.reply(1, arrays=changed(f, "conv.bias", np.ones(1, "f4"))),
    ),
    "false shape": ("shape", r"got \(2, 2\), \(4,\)", lambda f: with_array(f, shape=(2, 2))),
    "nan": ("non-finite", "'scale'", lambda f: f.reply(1, arrays=changed(f, "scale", np.float32(math.nan)))),
    "inf": ("non-finite", "'scale'", lambda f: f.reply(1, arrays=changed(f, "scale", np.float32(-math.inf)))),
    "absurd": (
        "non-finite",
        "below 1048576",
        lambda f: f.reply(1, arrays=changed(f, "scale", np.float32(2e6))),
    ),
    "giant step": ("norm", "the bound is", lambda f: f.reply(1, arrays=f.arrays(1, size=10.0))),
    "stranger": ("unknown", "node 101 answers nothing", lambda f: f.reply(1, to="m77")),
    "answers nobody": ("unknown", "node 101 answers nothing", lambda f: f.reply(1, to="")),
}


def numbers(sites, **changes):
    record = MetricRecord(dict(sites.report(1).pack()["metrics"]))
    for name, value in changes.items():
        record[{"examples": "num-examples"}.get(name, name)] = value
    return record


@pytest.mark.parametrize(("code", "why", "make"), CASES.values(), ids=CASES)
def test_refuses(code, why, make, sites):
    usual = Norms(known=[0.1] * 8)
    admitted, screening = screen(sites, [sites.reply(0), make(sites)], parts=["charbonnier"], norms=usual)
    assert [reply.metadata.src_node_id for reply in admitted] == [100]
    [refusal] = screening.refused
    assert refusal.code == code
    assert re.search(why, refusal.reason), refusal.reason
    assert len(refusal.reason) <= 300
    assert (refusal.client, refusal.node) == (("unknown", 0) if code == "unknown" else ("c1", 101))


def test_a_second_reply_is_refused(sites):
    admitted, screening = screen(sites, [sites.reply(0), sites.reply(0, loss=0.5)])
    assert len(admitted) == 1
    assert screening.refused == [
        Refusal("c0", 100, "duplicate", "its node has already replied in this round")
    ]


def test_loss_parts_are_free_unless_named(sites):
    replies = [sites.reply(0, parts={"own": 1.0}), sites.reply(1, parts={})]
    assert len(screen(sites, replies)[0]) == 2


def test_integer_arrays_need_only_their_form(sites):
    sites.model["counter"] = np.asarray(2**40)
    assert len(screen(sites, [sites.reply(0)])[0]) == 1


def test_more_words_are_harmless(sites):
    reply = sites.reply(0)
    reply.content["more"] = ConfigRecord({"a": "b"})
    assert len(screen(sites, [reply])[0]) == 1


def test_norms_by_hand(make_sites):
    sites = make_sites(2)
    step = {name: array.copy() for name, array in sites.model.items()}
    step["conv.bias"] += np.array([3, 0, 0, 0], np.float32)
    step["scale"] = np.asarray(step["scale"] + np.float32(4))
    _, screening = screen(sites, [sites.reply(0, arrays=step), sites.failure(1)])
    assert screening.norms == {100: pytest.approx(5.0)}


def test_norms_of_a_round_count_from_the_next(sites):
    history = Norms(fewest=4)
    replies = [sites.reply(k, arrays=sites.arrays(k, size)) for k, size in enumerate([1e-2, 1e-2, 1e-2, 1.0])]
    admitted, screening = screen(sites, replies, norms=history)
    screening.close()
    assert len(admitted) == 4
    admitted, screening = screen(sites, list(reversed(replies)), norms=history)
    assert [reply.metadata.src_node_id for reply in admitted] == [102, 101, 100]
    [refusal] = screening.refused
    assert (refusal.client, refusal.code) == ("c3", "norm")
    assert set(screening.norms) == set(sites.clients)


def test_usual_differences_between_clients_pass(make_sites):
    # nine times the data, a tenth of the step, ten rounds
    sites, history = make_sites(8), Norms()
    for seed in range(10):
        sizes = np.random.default_rng(seed).uniform(1e-3, 9e-3, 8)
        replies = [sites.reply(k, arrays=sites.arrays(k, size)) for k, size in enumerate(sizes)]
        admitted, screening = screen(sites, replies, norms=history)
        screening.close()
        assert len(admitted) == 8


def test_before_norms_are_known_the_model_is_the_measure(sites):
    size = math.hypot(*(float(np.linalg.norm(array)) for array in sites.model.values()))
    far = {name: array + np.asarray(30 * size, array.dtype) for name, array in sites.model.items()}
    admitted, screening = screen(sites, [sites.reply(0, arrays=far), sites.reply(1)])
    assert len(admitted) == 1
    assert [(one.client, one.code) for one in screening.refused] == [("c0", "norm")]


def test_works_for_a_resumed_run(sites):
    giant = sites.reply(0, arrays=sites.arrays(0, 10.0))
    first, _ = screen(sites, [giant], norms=Norms())
    again, _ = screen(sites, [giant], norms=Norms(known=[0.1] * 8))
    assert len(first) == 1
    assert again == []


def test_content_type_confusion(sites):
    content = RecordDict(
        {"arrays": MetricRecord({"a": 1}), "metrics": sites.reference, "about": ConfigRecord()}
    )
    admitted, screening = screen(sites, [sites.reply(0, content)])
    assert admitted == []
    assert [one.code for one in screening.refused] == ["report"]


def test_what_comes_beside_is_judged_by_a_history_of_its_own(sites):
    def with_variates(k, size):
        reply = sites.reply(k)
        arrays = {name: np.full_like(array, size) for name, array in sites.model.items()}
        reply.content["variates"] = record_from_arrays(arrays)
        return reply

    norms = Norms(known=[1.0] * 8)
    values = sum(array.size for array in sites.model.values())
    replies = [with_variates(0, 0.0), with_variates(1, 1.0), with_variates(2, 20.0)]
    admitted, screening = screen(sites, replies, beside={"variates": norms})
    assert admitted == replies[:2]
    [refused] = screening.refused
    assert (refused.client, refused.code) == ("c2", "norm")
    assert re.match(r"its 'variates' has the norm \d+, the bound is 20$", refused.reason)
    screening.close()
    assert norms.known[8:] == pytest.approx([0.0, math.sqrt(values), 20 * math.sqrt(values)])


def test_a_reply_must_carry_what_comes_beside(sites):
    admitted, screening = screen(sites, [sites.reply(0)], beside={"variates": Norms()})
    assert (admitted, screening.refused[0].code) == ([], "names")


def private(sites, **numbers):
    """A reply of a site that keeps its losses."""
    kept = {"loss": math.nan, "parts": {"charbonnier": math.nan}, "epsilon": 1.0, "delta": 1e-5}
    return sites.reply(1, **{**kept, **numbers})


def test_a_loss_may_be_kept_for_privacy(sites):
    admitted, _ = screen(sites, [private(sites)])
    assert len(admitted) == 1


def test_where_losses_decide_such_a_reply_is_of_no_use(sites):
    admitted, screening = screen(sites, [private(sites)], weighs_by_loss=True)
    assert admitted == []
    (refused,) = screening.refused
    assert refused.code == "privacy"
    assert "take strategy=fedavg" in refused.reason


def test_a_loss_that_is_told_is_checked_as_ever(sites):
    admitted, screening = screen(sites, [private(sites, loss=-1.0)])
    assert (admitted, [one.code for one in screening.refused]) == ([], ["loss"])
