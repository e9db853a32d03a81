"""Promises: a secure round is the survivors' exact mean, whoever goes when; the server sees sums alone."""

import math
import os
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from scipy.stats import chisquare

from fedvsr_core.aggregation.weights import loss_aware
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays, to_arrays
from fedvsr_core.flower.training_report import TrainingReport
from fedvsr_core.secure.fixed_point import FixedPoint
from fedvsr_core.secure.scalars import Sums, names_of
from server_app.strategies.fedavg import FedAvg
from server_app.strategies.fedvsr import FedVSR
from server_app.strategies.inverse_loss import InverseLoss
from server_app.strategies.uniform import Uniform
from tests.unit.server_app.secure_sites import STAGES, SecureSites, mean_of

SECRET = {keys.PUBLIC_KEYS, keys.SEALED, keys.SIGNATURES, keys.REVEALED, keys.MASKED_SCALARS}
"""Entries of replies that are keys, ciphertexts, shares or masked."""


@pytest.fixture
def make(tiny, monkeypatch):
    """Makes sites of a secure run."""

    def sites(clients=5, overrides="", **options):
        made = SecureSites(clients, tiny(f"secure.enabled=true {overrides}"), **options)
        monkeypatch.setattr("client_app.app.train_and_report", made.train)
        return made

    return sites


def check_mean(sites, outcome, weights):
    """The outcome is the mean of some clients' updates, to the error bound of the fixed point."""
    assert outcome.mean is not None, outcome.line["secure"]["void"]
    assert outcome.here == sorted(weights)
    bound = outcome.mean.fixed.error * len(weights) / outcome.mean.weight
    for name, expected in mean_of(sites, weights).items():
        rounding = np.spacing(np.abs(expected).astype(np.float32)).max()  # of the model itself
        np.testing.assert_allclose(outcome.mean.arrays[name], expected, rtol=0, atol=bound + rounding)


@pytest.mark.parametrize("strategy", ["uniform", "fedavg", "inverse_loss", "fedvsr", "ahead"])
def test_it_is_the_mean_of_the_strategy(make, strategy):
    sites = make()
    names = list(sites.losses)
    by_loss = loss_aware([sites.losses[name] for name in names], progress=0.1, guard=1.5).weights
    made, weights = {
        "uniform": (Uniform(), dict.fromkeys(names, 1.0)),
        "fedavg": (FedAvg(), sites.examples),
        "inverse_loss": (InverseLoss(), {name: 1 / loss for name, loss in sites.losses.items()}),
        "fedvsr": (FedVSR(num_rounds=10), dict(zip(names, by_loss, strict=True))),
        "ahead": (FedVSR(num_rounds=10, momentum=0.8), dict(zip(names, by_loss, strict=True))),
    }[strategy]
    check_mean(sites, sites.round(made), weights)


def test_a_step_ahead_is_what_updates_refer_to(make):
    sites, strategy = make(), Uniform(momentum=0.5)
    first = sites.round(strategy)
    strategy.moved()
    before, sites.model = sites.model, first.mean.arrays
    outcome = sites.round(strategy, 2)
    ahead = {name: now + 0.5 * (now - before[name]) for name, now in sites.model.items()}
    sites.model = ahead
    check_mean(sites, outcome, dict.fromkeys(sites.losses, 1.0))


def test_masks_change_no_bit(make, monkeypatch):
    sites = make(4)
    masked = sites.round(FedVSR(num_rounds=10)).mean
    for module in ("client_app.secure_stages", "server_app.secure_round"):
        monkeypatch.setattr(f"{module}.add_mask", lambda words, key, sign: None)
    for module in ("client_app.secure_stages", "client_app.secure_training", "server_app.secure_round"):
        monkeypatch.setattr(f"{module}.add_scalar_masks", lambda numbers, key, sign: list(numbers))
    plain = sites.round(FedVSR(num_rounds=10)).mean
    assert masked.weight == plain.weight
    for name, array in masked.arrays.items():
        assert array.tobytes() == plain.arrays[name].tobytes()


@pytest.mark.parametrize("stage", STAGES)
def test_whoever_goes_the_rest_is_summed(make, stage):
    sites = make()
    for count in (1, 2):
        for gone in combinations(sites.losses, count):
            sites.gone = {stage: gone}
            outcome = sites.round()
            left = set(sites.losses) if stage == "unmask" else set(sites.losses) - set(gone)
            check_mean(sites, outcome, dict.fromkeys(left, 1.0))
            assert {refusal.client for refusal in outcome.refused} == set(gone)


def test_weights_are_those_of_all_who_trained(make):
    sites, strategy = make(), InverseLoss()
    sites.gone = {"train": ["c0"], "vector": ["c3"]}
    left = ("c1", "c2", "c4")
    check_mean(sites, sites.round(strategy), {name: 1 / sites.losses[name] for name in left})


def test_some_go_at_each_stage(make):
    sites = make(9)
    sites.gone = {stage: [f"c{number}"] for number, stage in enumerate(("shares", "train", "vector"))}
    check_mean(sites, sites.round(), dict.fromkeys([f"c{number}" for number in range(3, 9)], 1.0))


@pytest.mark.parametrize("stage", STAGES)
def test_below_the_threshold_the_round_is_void_and_the_next_one_works(make, stage):
    sites = make()
    sites.gone = {stage: ["c0", "c1", "c2"]}
    outcome = sites.round()
    assert outcome.mean is None
    assert outcome.here == []
    assert outcome.line["secure"]["void"] == f"3 clients must be left after the stage '{stage}', got 2"
    sites.gone = {}
    check_mean(sites, sites.round(server_round=2), dict.fromkeys(sites.losses, 1.0))


def test_of_many_each_has_some_neighbours(make, monkeypatch):
    monkeypatch.setattr("fedvsr_core.secure.session._ALL", 6)
    sites = make(12)
    sites.gone = {"train": ["c7"], "vector": ["c8"]}
    check_mean(sites, sites.round(), dict.fromkeys(set(sites.losses) - {"c7", "c8"}, 1.0))
    [sealed] = [
        reply.content[keys.SECURE][keys.SEALED]
        for stage, name, reply in sites.replies
        if (stage, name) == ("shares", "c0")
    ]
    assert len(sealed) == 6


def test_an_upload_that_is_lost_on_purpose_counts_nothing(make):
    sites = make()
    outcome = sites.round(lost={"c2"})
    check_mean(sites, outcome, dict.fromkeys(set(sites.losses) - {"c2"}, 1.0))
    assert [refusal.code for refusal in outcome.refused] == ["lost"]


def test_a_long_update_is_shortened(make):
    sites = make(3, "secure.clip=0.5")
    sites.updates["c1"] *= 1000
    outcome = sites.round()
    sites.updates["c1"] *= 0.5 / np.linalg.norm(sites.updates["c1"])
    check_mean(sites, outcome, dict.fromkeys(sites.losses, 1.0))


def test_words_are_wider_where_32_bits_hold_too_little(make):
    sites = make(3, "secure.bits=30")
    outcome = sites.round()
    assert (outcome.mean.fixed.word_bits, outcome.mean.fixed.bits) == (64, 40)
    check_mean(sites, outcome, dict.fromkeys(sites.losses, 1.0))


def test_masked_words_are_uniform(make):
    sites = make(4, size=20_000)
    sites.updates = {name: np.zeros_like(update) for name, update in sites.updates.items()}
    sites.round()
    contents = {stage: [] for stage in STAGES}
    for stage, _, reply in sites.replies:
        contents[stage].append(reply.content)
    vectors = [to_arrays(content[keys.MASKED])[keys.MASKED] for content in contents["vector"]]
    assert len(vectors) == 4
    scalars = [content[keys.SECURE][keys.MASKED_SCALARS] for content in contents["train"]]
    for words in (*vectors, np.frombuffer(b"".join(scalars), np.uint32)):
        counts = np.bincount(words.view(np.uint8), minlength=256)
        assert chisquare(counts).pvalue > 1e-6
    for one, other in combinations(vectors, 2):  # nor do any two have a mask in common
        assert chisquare(np.bincount((one - other).view(np.uint8), minlength=256)).pvalue > 1e-6
        assert chisquare(np.bincount((one + other).view(np.uint8), minlength=256)).pvalue > 1e-6


def clear(sites):
    """All that the server sees of single clients and that isn't a key, a ciphertext, a share or masked."""
    seen = []
    for stage, name, reply in sites.replies:
        for record, entries in reply.content.items():
            for entry, value in entries.items():
                shown = value
                if isinstance(entries, ArrayRecord):
                    shown = value.dtype, tuple(value.shape), len(value.data)
                elif entry in SECRET:
                    shown = [len(item) for item in (value if isinstance(value, list) else [value])]
                seen.append((stage, name, record, entry, shown))
    return seen


def test_the_server_sees_no_client(make):
    sites = make(4)
    first = sites.round(FedAvg())
    assert {(record, entry) for _, _, record, entry, *_ in clear(sites)} == {
        (keys.ABOUT, keys.CLIENT),
        (keys.ABOUT, keys.CODE),
        (keys.MASKED, keys.MASKED),
        *((keys.SECURE, entry) for entry in (*SECRET, keys.NAMES)),
    }
    said = str(first.line) + "".join(str(reply.content) for *_, reply in sites.replies)
    for name in sites.losses:
        assert str(sites.losses[name]) not in said
        assert sites.losses[name] != first.line["secure"]["sums"]["loss"]


def test_its_view_of_a_client_stays_when_data_change_and_sums_dont(make):
    sites = make(4)
    first, before = sites.round(FedAvg()), clear(sites)
    for of_clients in (sites.updates, sites.losses, sites.examples):
        of_clients["c0"], of_clients["c1"] = of_clients["c1"], of_clients["c0"]
    sites.replies.clear()
    second = sites.round(FedAvg())
    assert clear(sites) == before
    assert second.line["secure"]["sums"] == first.line["secure"]["sums"]
    for name, array in first.mean.arrays.items():
        assert array.tobytes() == second.mean.arrays[name].tobytes()


def asked(sites, stage, name):
    """The state of a client before a stage, and its message."""
    return next((state, message) for at, of, state, message in sites.asked if (at, of) == (stage, name))


def declined(reply):
    return reply.content[keys.ABOUT].get(keys.DECLINED)


def again(message, **changes):
    """The same message with other entries."""
    config = ConfigRecord({**dict(message.content[keys.CONFIG]), **changes})
    content = RecordDict({**dict(message.content), keys.CONFIG: config})
    meta = message.metadata
    return Message(content, dst_node_id=meta.dst_node_id, message_type=meta.message_type)


@pytest.mark.parametrize("stage", ["scalars", "unmask"])
def test_a_curious_server_gets_one_kind_of_share_of_a_client(make, caplog, stage):
    sites = make()
    sites.round()
    state, message = asked(sites, stage, "c0")
    others = again(message, here=["c0", "c1", "c2", "c3"])  # so that c4 has gone
    assert declined(sites.ask(others)) == "secure"  # after the round
    assert declined(sites.ask(others, state)) == "secure"  # at the same time, in another process
    assert "has been answered" in caplog.text


@pytest.mark.parametrize("key", [keys.RUN, keys.SERVER_ROUND, keys.SESSION])
def test_an_equal_value_of_another_type_is_no_other_session(make, key):
    sites = make()
    sites.round()
    state, message = asked(sites, "scalars", "c0")
    equal = {keys.SERVER_ROUND: 1.0, keys.RUN: b"run-1", keys.SESSION: True}[key]
    assert declined(sites.ask(again(message, **{key: equal}), state)) == "secure"
    _, message = asked(sites, "keys", "c0")
    assert declined(sites.ask(again(message, **{key: equal}))) == "secure"


def test_claims_of_old_sessions_go_and_others_stay(make, tmp_path, monkeypatch):
    sites = make()
    sites.round()
    claims = sorted(tmp_path.rglob("*-secure_unmask"))
    assert len(claims) == len(sites.losses)
    os.utime(claims[0], (0, 0))
    sites.round(server_round=2)
    left = set(tmp_path.rglob("*-secure_unmask"))
    assert claims[0] not in left
    assert set(claims[1:]) < left


def test_the_sums_are_fewer_than_the_clients(make):
    """As many exact sums as clients would tell each client's loss."""
    for clients, gone, told in ((3, [], False), (5, ["c0", "c1"], False), (6, ["c0", "c1"], True)):
        sites = make(clients)
        sites.gone = {"train": gone}
        outcome = sites.round(FedVSR(num_rounds=10))
        assert len(outcome.here) == clients - len(gone)
        assert ("loss" in outcome.line["secure"]["sums"]) is told
    assert "loss" in make(3).round(FedAvg()).line["secure"]["sums"]
    assert set(names_of("loss", [])) - set(names_of("examples", [])) == {"roots"}


def test_one_loss_among_private_ones_is_not_read_off_the_sum(make, monkeypatch):
    sites = make()
    train = sites.train

    def private(content, node_config, state, device):
        reply = train(content, node_config, state, device)
        if node_config["site"] != "c0":
            kept = {"loss": math.nan, "parts": {"charbonnier": math.nan}, "epsilon": 1.0}
            report = replace(TrainingReport.unpack(reply), **kept)
            reply.update(report.pack())
        return reply

    monkeypatch.setattr("client_app.app.train_and_report", private)
    decoded = []
    monkeypatch.setattr(Sums, "report", lambda sums: decoded.append(sums) or {})
    assert sites.round(FedAvg()).mean is not None
    assert decoded[0].by_name["told-losses"] == 1
    assert abs(decoded[0].by_name["loss"]) > 2**32  # of 127 bits before the point; the loss is below 0.1


@pytest.mark.parametrize("stage", STAGES[1:])
def test_no_stage_is_answered_twice(make, stage):
    sites = make()
    sites.round()
    state, message = asked(sites, stage, "c1")
    assert declined(sites.ask(again(message), state)) == "secure"


def test_no_stage_is_left_out(make, caplog):
    sites = make()
    sites.gone = {"scalars": ["c0"], "vector": ["c0"]}
    sites.round()
    _, message = asked(sites, "unmask", "c1")
    other = again(message)
    other.metadata.__dict__["_dst_node_id"] = 100
    assert declined(sites.ask(other)) == "secure"
    assert "must follow 'secure_vector', but the last was 'secure_train'" in caplog.text


@pytest.mark.parametrize(
    ("stage", "changes", "reason"),
    [
        ("shares", {"names": ["c0", "c1"], "public-keys": []}, "three keys for each"),
        ("shares", {"threshold": 0.5}, "more than a half"),
        ("train", {"here": ["c0", "c1"]}, "3 of 5 clients must be left, got 2"),
        ("train", {"here": ["c1", "c2", "c3"]}, "not this one"),
        ("train", {"share-exponent": 40.0}, "isn't known"),
        ("train", {"signatures": []}, "the shares of 4 neighbours"),
        ("scalars", {"here": ["c0", "c1"]}, "3 of 5 clients must be left, got 2"),
        ("scalars", {"here": ["c0", "c1", "c2", "c2"]}, "not all of the roster's"),
        ("scalars", {"here": ["c0", "c1", "c2", "mole"]}, "must not come back"),
        ("vector", {"weight-per-share": 0.5}, "counts at most 1.5 times the uniform weight"),
        ("vector", {"base-weight": 0.5, "weight-per-share": 0.0}, "counts at most 1.5 times"),
        ("vector", {"base-weight": -0.1}, "counts at most"),
        ("vector", {"weight-per-share": float("nan")}, ""),
        ("unmask", {"here": ["c0", "c1"]}, "3 of 5 clients must be left, got 2"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else str(value),
)
def test_a_client_refuses_what_would_show_it(make, caplog, stage, changes, reason):
    sites = make()

    def tampered(message):
        if message.metadata.message_type.endswith(stage) and message.metadata.dst_node_id == 100:
            config = message.content[keys.CONFIG]
            for key, value in changes.items():
                config[key] = value

    sites.tampered = tampered
    outcome = sites.round(FedVSR(num_rounds=10))
    refused = {refusal.client: refusal.code for refusal in outcome.refused}
    assert refused == {"c0": "declined"}
    assert reason in caplog.text


def test_two_clients_are_too_few(make, caplog):
    sites = make(2)
    assert sites.round().mean is None
    assert "3 clients must be left after the stage 'keys', got 2" in caplog.text


def test_another_key_in_the_roster_is_noticed(make, caplog):
    sites = make()

    def tampered(message):
        if message.metadata.message_type.endswith("shares") and message.metadata.dst_node_id == 100:
            config = message.content[keys.CONFIG]
            config[keys.PUBLIC_KEYS] = [bytes(31) + b"\x09", *list(config[keys.PUBLIC_KEYS])[1:]]

    sites.tampered = tampered
    assert {refusal.client for refusal in sites.round().refused} == {"c0"}
    assert "must have this client's own public keys" in caplog.text


def test_shares_that_were_changed_are_noticed(make, caplog):
    sites = make()

    def tampered(message):
        if message.metadata.message_type.endswith("train") and message.metadata.dst_node_id == 100:
            config = message.content[keys.CONFIG]
            config[keys.SEALED] = list(config[keys.SEALED])[::-1]

    sites.tampered = tampered
    assert {refusal.client for refusal in sites.round().refused} == {"c0"}
    assert "were changed on their way" in caplog.text


@pytest.mark.parametrize("what", ["weights", "model", "settings"])
def test_a_server_that_says_different_things_gets_noise(make, what):
    sites = make(size=400)

    def tampered(message):
        if message.metadata.dst_node_id == 100:  # only c0's update should be in the sum
            return
        config = message.content[keys.CONFIG]
        if what == "weights" and keys.BASE_WEIGHT in config:
            config[keys.WEIGHT_PER_SHARE] = 0.0
        if what == "model" and keys.ARRAYS in message.content:
            zeros = {name: np.zeros_like(array) for name, array in sites.model.items()}
            message.content[keys.ARRAYS] = record_from_arrays(zeros)
        if what == "settings" and keys.SETTINGS in config:
            config[keys.SETTINGS] = str(config[keys.SETTINGS]).replace('"lr":0.01', '"lr":0.0')

    sites.tampered = tampered
    outcome = sites.round()
    assert outcome.mean is None
    assert "lies" in outcome.line["secure"]["void"] or "can't be" in outcome.line["secure"]["void"]


def test_a_lie_of_a_client_is_seen_in_the_sum(make):
    sites, honest = make(size=400), SecureSites._run_client

    def lying(message):
        reply = honest(sites, message)
        if keys.MASKED in reply.content and message.metadata.dst_node_id == 101:
            words = to_arrays(reply.content[keys.MASKED])[keys.MASKED] + np.uint32(1 << 29)
            reply.content[keys.MASKED] = ArrayRecord({keys.MASKED: Array(words)})
        return reply

    sites.answer = lying
    outcome = sites.round()
    assert outcome.mean is None
    assert "no client's is longer than 64 (secure.clip); one of them lies" in outcome.line["secure"]["void"]


def test_an_update_that_is_not_finite_stays_out(make, caplog):
    sites = make()
    sites.updates["c1"][3] = np.nan
    outcome = sites.round()
    check_mean(sites, outcome, dict.fromkeys(set(sites.losses) - {"c1"}, 1.0))
    assert "the update isn't finite" in caplog.text


def test_the_journal_has_sums(make):
    sites = make()
    line = sites.round().line
    sums = line["secure"]["sums"]
    assert sums["clients"] == 5
    assert sums["num-examples"] == sum(sites.examples.values())
    assert sums["loss"] == pytest.approx(sum(sites.losses.values()), rel=1e-12)
    assert [stage["stage"] for stage in line["secure"]["stages"]] == list(STAGES)
    assert all(stage["asked"] == stage["answered"] == 5 for stage in line["secure"]["stages"])
    assert line["clients"] == [{"client": name} for name in sites.losses]
    assert line["bytes-up"] == sum(stage["bytes-up"] for stage in line["secure"]["stages"])


def test_the_upload_is_as_long_as_without_masks(make):
    sites = make(10, size=400_000)
    line = sites.round().line
    assert line["secure"]["word-bits"] == 32
    model_bytes = sum(array.nbytes for array in sites.model.values())
    assert line["bytes-up"] / 10 < 1.05 * model_bytes


def test_the_bits_are_as_many_as_fit():
    fixed = FixedPoint.that_holds(10 * 64.0, 16)
    assert (fixed.word_bits, fixed.bits) == (32, 20)
    assert 10 * 64.0 * 2**fixed.bits + 10 < 2**31
