"""Promises: every strategy of ours works in anyone's ServerApp, with Flower's clients and with ours."""

from functools import cache

import numpy as np
import pytest
from flwr.app import ArrayRecord, Error, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp.strategy import Strategy

from fedvsr_core.components import build
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays, to_arrays
from server_app.config import compose, options


@cache
def server_of(name):
    return compose({"strategy": name}).strategy.server


OURS = [
    name for name in options("strategy") if server_of(name)["_target_"].startswith("server_app.strategies.")
]
ours = pytest.mark.parametrize("name", [name for name in OURS if name != "dp_adaptive"])


def strategy_of(name, **arguments):
    return build({**server_of(name), **arguments}, num_rounds=3)


class Quickstart:
    """The nodes of Flower's quickstart: one loss a training reply, two numbers an evaluation reply.

    Attributes:
        asked: Messages by their type.
    """

    def __init__(self, nodes=4, loss="train_loss", failing=()):
        self.nodes, self.loss, self.failing = nodes, loss, failing
        self.asked = {"train": [], "evaluate": []}

    def get_node_ids(self):
        return list(range(1, self.nodes + 1))

    def send_and_receive(self, messages, timeout):
        for message in messages:
            kind = message.metadata.message_type
            self.asked[kind].append(message)
            node = message.metadata.dst_node_id
            if node in self.failing:
                yield Message(Error(0, "it broke"), reply_to=message)
            elif kind == MessageType.TRAIN:
                yield Message(self.trained(message.content, node), reply_to=message)
            else:
                numbers = {"eval_loss": 0.1 * node, "eval_acc": 0.5, "num-examples": 2}
                yield Message(RecordDict({"metrics": MetricRecord(numbers)}), reply_to=message)

    def trained(self, content, node):
        (name,) = set(content.array_records) - {keys.VARIATES}
        arrays = {key: array + np.float32(0.1 * node) for key, array in to_arrays(content[name]).items()}
        metrics = MetricRecord({self.loss: 0.1 * node, "num-examples": 3})
        records = {keys.VARIATES: content[keys.VARIATES]} if keys.VARIATES in content else {}
        return RecordDict({name: record_from_arrays(arrays), "metrics": metrics, **records})


def test_they_were_found():
    assert len(OURS) >= 13
    assert {"fedvsr", "fedavg", "scaffold", "fedsr", "fedmedian"} <= set(OURS)


@ours
@pytest.mark.parametrize("loss", ["train_loss", "loss"])
def test_flowers_own_loop_trains_and_evaluates(name, loss, sites):
    grid, strategy = Quickstart(loss=loss), strategy_of(name)
    assert isinstance(strategy, Strategy)
    result = strategy.start(grid, sites.reference, num_rounds=3)
    assert {kind: len(messages) for kind, messages in grid.asked.items()} == {"train": 12, "evaluate": 12}
    assert list(result.arrays) == list(sites.model)
    momentum = getattr(strategy, "momentum", 0)
    rounds = 1 + (1 + momentum) + (1 + momentum + momentum**2)
    for key, array in to_arrays(result.arrays).items():
        assert (array != sites.model[key]).all()
        assert 0.29 < (array - sites.model[key]).mean() < 0.4 * rounds + 0.01  # a client moves 0.1 to 0.4
    assert result.train_metrics_clientapp[3][loss] == pytest.approx(0.25)
    assert result.evaluate_metrics_clientapp[3] == pytest.approx({"eval_loss": 0.25, "eval_acc": 0.5})


@ours
def test_flowers_arguments_mean_what_they_do_there(name, sites):
    names = {"arrayrecord_key": "model", "configrecord_key": "settings", "weighted_by_key": "num-examples"}
    strategy = strategy_of(name, fraction_train=0.5, fraction_evaluate=0.0, min_available_nodes=4, **names)
    grid = Quickstart()
    result = strategy.start(grid, sites.reference, num_rounds=1)
    assert {kind: len(messages) for kind, messages in grid.asked.items()} == {"train": 2, "evaluate": 0}
    assert {"model", "settings"} <= set(grid.asked["train"][0].content)
    assert (result.arrays["scale"].numpy() != sites.model["scale"]).all()


@ours
def test_functions_that_combine_numbers_are_called(name, sites):
    def first(contents, key):
        assert (key, len(contents)) == ("num-examples", 4)
        return MetricRecord({"first": 1.0})

    strategy = strategy_of(name, train_metrics_aggr_fn=first, evaluate_metrics_aggr_fn=first)
    result = strategy.start(Quickstart(), sites.reference, num_rounds=1)
    assert dict(result.train_metrics_clientapp[1]) == {"first": 1.0}
    assert dict(result.evaluate_metrics_clientapp[1]) == {"first": 1.0}


@ours
def test_a_loss_by_another_name(name, sites):
    strategy, grid = strategy_of(name, loss_key="my_loss"), Quickstart(loss="my_loss")
    result = strategy.start(grid, sites.reference, num_rounds=1)
    assert (result.arrays["scale"].numpy() != sites.model["scale"]).all()


@ours
def test_clients_that_fail_end_nothing(name, sites):
    result = strategy_of(name).start(Quickstart(failing=(1, 2)), sites.reference, num_rounds=2)
    assert (result.arrays["scale"].numpy() != sites.model["scale"]).all()
    result = strategy_of(name).start(Quickstart(failing=(1, 2, 3, 4)), sites.reference, num_rounds=2)
    assert result.train_metrics_clientapp == {}
    assert isinstance(result.arrays, ArrayRecord)


def test_where_losses_decide_a_reply_without_one_is_left_out(sites, caplog):
    result = strategy_of("fedvsr").start(Quickstart(loss="accuracy"), sites.reference, num_rounds=1)
    assert result.train_metrics_clientapp == {}
    assert "left out node 1 (loss): its 'train_loss' or 'loss' must be finite and > 0, got nan" in caplog.text
