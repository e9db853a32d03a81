"""Promises: of hundreds of malformed replies, none reaches the model and none raises, whatever the order."""

import math
import random

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord

from fedvsr_core.flower.arrays import record_from_arrays
from server_app.strategies.fedavg import FedAvg
from server_app.strategies.fedvsr import FedVSR
from tests.unit.server_app.sites import Received

ROUNDS, BAD, GOOD = 45, 8, 3  # 360 malformed replies
NAMES = ["conv.weight", "conv.bias", "scale"]
NUMBERS = ["num-examples", "num-steps", "loss", "seconds", "peak-memory-mb", "loss-charbonnier"]
WORDS = ["client", "device", "code", "batches"]


def replaced(reply, record, name, value):
    """Set an entry of a record, whatever its own checks say."""
    reply.content[record].__dict__["_data"][name] = value
    return reply


def array_of(reply, rng):
    name = rng.choice(NAMES)
    return name, reply.content["arrays"][name]


def with_data(reply, name, array, **fields):
    known = {"dtype": array.dtype, "shape": tuple(array.shape), "stype": array.stype, "data": array.data}
    return replaced(reply, "arrays", name, Array(**(known | fields)))


def bytes_cut(reply, rng):
    name, array = array_of(reply, rng)
    return with_data(reply, name, array, data=array.data[: rng.randrange(len(array.data))])


def bytes_added(reply, rng):
    name, array = array_of(reply, rng)
    return with_data(reply, name, array, data=array.data + rng.randbytes(rng.randint(1, 64)))


def bytes_random(reply, rng):
    name, array = array_of(reply, rng)
    return with_data(reply, name, array, data=rng.randbytes(rng.randrange(300)))


def header_damaged(reply, rng):
    name, array = array_of(reply, rng)
    data = bytearray(array.data)
    place = rng.randrange(data.index(b"\n"))
    data[place] ^= rng.randint(1, 255)
    return with_data(reply, name, array, data=bytes(data))


def header_claims_more(reply, rng):
    name, array = array_of(reply, rng)
    huge = [10 ** rng.randint(6, 14) for _ in range(rng.randint(1, 3))]
    empty = rng.random() < 0.5  # an axis of size 0 needs no bytes, whatever the others are
    shape = "".join(f"{size}, " for size in ([0] if empty else []) + huge)
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape.rstrip(', ')},), }}\n"
    if empty or len(huge) > 1:
        header = header.replace(",), }", "), }")
    prefix = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    return with_data(reply, name, array, data=prefix + header.encode() + bytes(0 if empty else 16))


def type_changed(reply, rng):
    name, array = array_of(reply, rng)
    dtype = rng.choice([np.float16, np.float64, np.int32, np.int64, np.bool_, ">f4", np.complex64, "U3"])
    return replaced(reply, "arrays", name, Array(np.asarray(array.numpy().astype(dtype))))


def shape_changed(reply, rng):
    name, array = array_of(reply, rng)
    values = array.numpy()
    shape = rng.choice([(1, *values.shape), (values.size, 1, 1), (values.size + 1,), (0,)])
    return replaced(reply, "arrays", name, Array(np.resize(values, shape)))


def claims_changed(reply, rng):
    name, array = array_of(reply, rng)
    fields = [
        {"dtype": rng.choice(["float64", "int64", "object", "", "float32\n", "nonsense"])},
        {"shape": rng.choice([(), (7,), (2**62,), (-1,), (4, 4)])},
        {"stype": rng.choice(["pickle", "", "torch"])},
    ]
    field = rng.choice(fields)
    if field.get("shape") == tuple(array.shape):
        field = {"shape": (99,)}
    return with_data(reply, name, array, **field)


def value_spoilt(reply, rng):
    name, array = array_of(reply, rng)
    values = array.numpy()
    values.reshape(-1)[rng.randrange(values.size)] = rng.choice(
        [math.nan, math.inf, -math.inf, 3e38, -(2.0**20)]
    )
    return replaced(reply, "arrays", name, Array(values))


def giant_step(reply, rng):
    for name, array in list(reply.content["arrays"].items()):
        replaced(reply, "arrays", name, Array(np.asarray(array.numpy() * np.float32(rng.uniform(100, 1e4)))))
    return reply


def names_changed(reply, rng):
    arrays = reply.content["arrays"].__dict__["_data"]
    name = rng.choice(NAMES)
    match rng.randrange(4):
        case 0:
            del arrays[name]
        case 1:
            arrays[rng.choice(["", "x" * 10_000, "conv.weight ", "a\nb", "\ud800"])] = arrays[name]
        case 2:
            arrays["conv.bias"], arrays["scale"] = arrays["scale"], arrays["conv.bias"]
        case 3:
            arrays.clear()
    return reply


def records_changed(reply, rng):
    record = rng.choice(["arrays", "metrics", "about"])
    match rng.randrange(4):
        case 0:
            del reply.content[record]
        case 1:
            taken = reply.content[record]
            del reply.content[record]
            reply.content[record + "s"] = taken
        case 2:
            others = [ArrayRecord(), MetricRecord(), ConfigRecord()]
            replaced_by = rng.choice([one for one in others if type(one) is not type(reply.content[record])])
            reply.content.__dict__["_data"][record] = replaced_by
        case 3:
            reply.content["more"] = rng.choice(
                [record_from_arrays({"a": np.zeros(2)}), MetricRecord({"loss": 0.1})]
            )
    return reply


def number_spoilt(reply, rng):
    name = rng.choice(NUMBERS)
    bad = [math.nan, math.inf, -math.inf, -1, -0.5, 10**400, -(10**400), [1.0], [], 10**12]
    if name in ("num-examples", "num-steps", "loss"):
        bad += [0, 5e-324 if name != "loss" else 0.0]
    if name == "loss-charbonnier":
        bad = [math.nan, math.inf, 10**400, [1.0]]
    if name in ("seconds", "peak-memory-mb", "num-steps"):
        bad.remove(10**12)
    if name == "num-steps":
        bad.remove(10**400)
    return replaced(reply, "metrics", name, rng.choice(bad))


def number_lost(reply, rng):
    del reply.content["metrics"].__dict__["_data"][rng.choice(NUMBERS)]
    return reply


def number_added(reply, rng):
    name = rng.choice(["accuracy", "", "loss_", "Loss", "loss-more", "x" * 5000])
    return replaced(reply, "metrics", name, rng.choice([1, 1.0, [1.0]]))


def word_spoilt(reply, rng):
    if rng.random() < 0.5:
        return replaced(
            reply, "about", "client", rng.choice(["c0", "", "c1 ", 7, b"c1", "x" * 10_000, ["c1"]])
        )
    word = rng.choice(WORDS[1:])
    if word == "code" and rng.random() < 0.5:
        return replaced(reply, "about", word, "0" * 16)
    return replaced(reply, "about", word, "x" * rng.randint(201, 10_000))


def word_lost(reply, rng):
    del reply.content["about"].__dict__["_data"][rng.choice(WORDS)]
    return reply


def privacy_spoilt(reply, rng):
    pair = rng.choice([(1.0, 0.0), (0.0, 0.5), (5e-324, 1e-5), (1.0, 1.0), (1.0, 5.0), (1e300, 1e-5)])
    replaced(reply, "about", "delta", pair[1])
    return replaced(reply, "about", "epsilon", pair[0])


def failed(reply, rng):
    reason = rng.choice([None, "", "\n\n", "Traceback\n" + "x" * 100_000, "\x00\ud800", "%s %d {}"])
    return Message(error=Error(rng.randint(-5, 500), reason), metadata=reply.metadata)


def strange(reply, rng):
    reply.metadata.__dict__["_reply_to_message_id"] = rng.choice(["", "m999", "m1 ", "r1", "x" * 1000])
    return reply


MUTATIONS = [
    *(bytes_cut, bytes_added, bytes_random, header_damaged, header_claims_more, type_changed, shape_changed),
    *(claims_changed, value_spoilt, giant_step, names_changed, records_changed, number_spoilt, number_lost),
    *(number_added, word_spoilt, word_lost, privacy_spoilt, failed, strange),
]


def rounds(make_sites):
    """Sound and malformed replies of each round, new ones at each call; the last of the latter come twice."""
    rng = random.Random(2026)
    for number in range(ROUNDS):
        sites = make_sites(GOOD + BAD, seed=number)
        good = [sites.reply(k) for k in range(GOOD)]
        bad = []
        for k in range(GOOD, GOOD + BAD):
            mutation = MUTATIONS[(number * BAD + k - GOOD) % len(MUTATIONS)]
            bad.append((mutation.__name__, mutation(sites.reply(k), rng)))
        mixed = [*good, *(reply for _, reply in bad), good[0]]
        rng.shuffle(mixed)
        yield sites, good, bad, mixed


def combined(sites, updates):
    strategy = FedVSR(num_rounds=10)
    strategy.outgoing(1, sites.reference, len(updates))
    new = strategy.combine(1, sorted(updates, key=lambda update: update.client))
    return dict(new.arrays), new.weights


def test_none_reaches_the_model_and_none_raises(make_sites):
    refused, codes, mutations = 0, set(), set()
    for sites, good, bad, mixed in rounds(make_sites):
        options = {"parts": ["charbonnier"], "furthest": 2.0}
        received = Received(sites, mixed, **options).all().close()
        accepted = {update.node for update in received.updates}
        assert accepted == {100, 101, 102}, [
            name for name, reply in bad if reply.metadata.src_node_id in accepted
        ]
        arrays, weights = combined(sites, received.updates)
        alone, alone_weights = combined(sites, Received(sites, good).all().updates)
        assert weights == alone_weights
        assert {name: array.tobytes() for name, array in arrays.items()} == {
            name: array.tobytes() for name, array in alone.items()
        }
        assert {refusal.node for refusal in received.refused} >= set(range(103, 111))
        assert all(refusal.reason and len(refusal.reason) <= 300 for refusal in received.refused)
        refused += len(bad)
        mutations |= {name for name, _ in bad}
        codes |= {refusal.code for refusal in received.refused}
    assert refused == ROUNDS * BAD >= 300
    assert len(mutations) == len(MUTATIONS)
    everything = {"unknown", "duplicate", "error", "report", "identity", "examples", "loss", "names", "dtype"}
    assert codes == everything | {"shape", "non-finite", "norm", "timeout", "code"}


def test_without_screening_none_raises_and_the_model_stays_sound(make_sites):
    """In someone else's ServerApp, where reports may look as they like."""
    for sites, good, _, mixed in rounds(make_sites):
        for strategy in (FedVSR(num_rounds=10), FedAvg()):
            strategy.configure_train(1, sites.reference, ConfigRecord(), sites)
            arrays, _ = strategy.aggregate_train(1, mixed)
            assert {"100", "101", "102"} <= set(strategy.diagnostics["weights"])
            assert list(arrays) == list(sites.model)
            for name, array in arrays.items():
                values = array.numpy()
                assert (values.shape, values.dtype) == (sites.model[name].shape, np.float32)
                assert np.isfinite(values).all()
        assert len(good) == GOOD
