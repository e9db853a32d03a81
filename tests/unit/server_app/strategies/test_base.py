"""Promises: messages to all nodes shown, unusable replies left out, replies freed, the model's form kept."""

import logging
import re

import numpy as np
import pytest
from flwr.app import Array, MetricRecord, RecordDict

from fedvsr_core.errors import AggregationError
from fedvsr_core.flower.arrays import record_from_arrays
from server_app.strategies.aggregator import Combined
from server_app.strategies.base import RoundStrategy
from server_app.strategies.fedavg import FedAvg
from server_app.strategies.fedvsr import FedVSR
from server_app.strategies.inverse_loss import InverseLoss
from server_app.strategies.uniform import Uniform

STRATEGIES = [lambda: FedVSR(num_rounds=10), FedAvg, Uniform, InverseLoss]
every_strategy = pytest.mark.parametrize("make", STRATEGIES, ids=["fedvsr", "fedavg", "uniform", "inverse"])


class First(RoundStrategy):
    """Takes the first update for the model."""

    def combine(self, server_round, updates):
        updates = list(updates)
        return Combined(updates[0].arrays.items(), {updates[0].client: 1.0}) if updates else None


def test_messages_go_to_every_node(sites):
    messages = sites.configure(First(), 3, settings="{}")
    assert sorted(message.metadata.dst_node_id for message in messages) == [100, 101, 102, 103]
    assert {message.metadata.message_type for message in messages} == {"train"}
    assert dict(messages[0].content["config"]) == {"settings": "{}", "server-round": 3}
    assert list(messages[0].content["arrays"]) == list(sites.model)


@every_strategy
def test_form_of_the_model_stays(make, sites):
    model = {
        "half": np.ones(3, np.float16),
        "counter": np.asarray(7),
        "single": np.asarray(np.float32(2)),
        "mask": np.array([True, False]),
        "double": np.ones((2, 2)),
    }
    strategy = make()
    sites.configure(strategy, arrays=record_from_arrays(model))
    replies = [
        sites.reply(k, arrays={name: np.asarray(array + k, array.dtype) for name, array in model.items()})
        for k in range(3)
    ]
    arrays, _ = strategy.aggregate_train(1, replies)
    assert list(arrays) == list(model)
    for name, array in arrays.items():
        assert array.numpy().dtype == model[name].dtype == array.dtype
        assert array.numpy().shape == model[name].shape == tuple(array.shape)
    assert arrays["counter"].numpy() == 7
    assert arrays["mask"].numpy().tolist() == [True, False]
    assert 1 < arrays["half"].numpy()[0] < 3


def unusable(sites):
    """Replies of client 1 that no strategy may use, by what is wrong."""
    good = sites.arrays(1)
    report = sites.report(1).pack()
    two = RecordDict({"one": record_from_arrays(good), "two": record_from_arrays(good), **report})
    torn = sites.reference
    torn["conv.bias"] = Array("float32", (4,), "numpy.ndarray", b"nothing")
    nan, huge = ({**good, "conv.bias": np.array([0, 0, 0, value], np.float32)} for value in (np.nan, 1e7))
    return {
        "it failed": sites.failure(1),
        "one ArrayRecord, got 2": sites.reply(1, two),
        "one MetricRecord, got 0": sites.reply(1, RecordDict({"arrays": record_from_arrays(good)})),
        "'scale' differ": sites.reply(1, arrays={k: v for k, v in good.items() if k != "scale"}),
        "'extra' differ": sites.reply(1, arrays={**good, "extra": good["scale"]}),
        r"must have shape \(\), got \(3,\)": sites.reply(1, arrays={**good, "scale": np.ones(3, np.float32)}),
        "must be float32, got float64": sites.reply(1, arrays={**good, "scale": np.asarray(1.0)}),
        "must come as": sites.reply(1, arrays=torn),
        "finite values": sites.reply(1, arrays=nan),
        "below 1048576": sites.reply(1, arrays=huge),
    }


@every_strategy
def test_unusable_replies_are_left_out(make, sites, caplog):
    others = [sites.reply(k) for k in (0, 2)]
    strategy = make()
    sites.configure(strategy)
    expected, _ = strategy.aggregate_train(1, others)
    cases = unusable(sites)
    for why, bad in cases.items():
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            found, _ = strategy.aggregate_train(1, [others[0], bad, others[1]])
        assert found == expected, why
        assert set(strategy.diagnostics["weights"]) == {"100", "102"}
        [record] = caplog.records
        assert record.message.startswith(f"aggregate_train: left out node {bad.metadata.src_node_id} (")
        assert re.search(why, record.message), record.message


@every_strategy
def test_a_second_reply_of_a_node_is_left_out(make, sites):
    strategy = make()
    sites.configure(strategy)
    expected, _ = strategy.aggregate_train(1, [sites.reply(0), sites.reply(1)])
    twice = [sites.reply(0), sites.reply(1), sites.reply(0, arrays=sites.arrays(9))]
    assert strategy.aggregate_train(1, twice)[0] == expected


@every_strategy
@pytest.mark.parametrize("with_failure", [False, True], ids=["none", "failures"])
def test_a_round_without_replies(make, sites, caplog, with_failure):
    strategy = make()
    sites.configure(strategy)
    replies = [sites.failure(k) for k in range(2)] if with_failure else []
    assert strategy.aggregate_train(4, replies) == (None, None)
    assert strategy.diagnostics == {}
    assert "round 4 has no reply that can be used; the model stays as it was" in caplog.text


def test_numbers_are_averaged_by_weight(sites):
    # Flower's mean, by examples 10 and 30: (1 * 0.02 + 3 * 0.06) / 4; what isn't a finite number counts as 0
    replies = [
        sites.foreign_reply(0, **{"num-examples": 10, "loss": 0.02, "odd": float("nan"), "own": 5}),
        sites.foreign_reply(1, **{"num-examples": 30, "loss": 0.06, "odd": 2.0, "many": [1, 2]}),
    ]
    strategy = FedAvg()
    sites.configure(strategy)
    _, metrics = strategy.aggregate_train(1, replies)
    assert isinstance(metrics, MetricRecord)
    assert dict(metrics) == pytest.approx({"loss": 0.05, "odd": 1.5, "own": 1.25})


@every_strategy
def test_someone_elses_replies_and_no_configuration(make, sites):
    """Names of records are free, and aggregate_train may be called by itself."""
    replies = [sites.foreign_reply(k, **{"num-examples": 10, "loss": 0.02}) for k in range(3)]
    arrays, metrics = make().aggregate_train(1, replies)
    assert list(arrays) == list(sites.model)
    assert metrics["loss"] == pytest.approx(0.02)
    expected = np.mean([sites.arrays(k)["conv.weight"].astype(np.float64) for k in range(3)], axis=0)
    np.testing.assert_allclose(arrays["conv.weight"].numpy(), expected, rtol=1e-6)


class Data(bytes):
    """The bytes of an array, which count how many of them there are."""

    alive = 0

    def __del__(self):
        Data.alive -= 1


@every_strategy
def test_stateless(make):
    strategy = make()
    assert strategy.state() == {}
    strategy.load_state({})
    with pytest.raises(
        AggregationError, match=r"keeps no state, got \['momentum'\]; resume with the strategy"
    ):
        strategy.load_state({"momentum": np.zeros(1)})
