"""Promises: a client says who it is, trains what it was sent on its clips, returns floats and a report."""

import numpy as np
import pytest
import torch
from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from client_app.app import app
from fedvsr_core.components import build
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import to_arrays, to_record
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.training_report import TrainingReport


@pytest.fixture
def weights(settings):
    torch.manual_seed(1)
    return to_record(build(settings.model).state_dict())


@pytest.fixture
def ask(settings, weights, context):
    """Train one round on a client; returns the reply."""

    def train(server_round=1, node=None, **changes):
        sent = settings.model_copy(update=changes).model_dump_json()
        config = ConfigRecord({keys.SERVER_ROUND: server_round, keys.SETTINGS: sent})
        content = RecordDict({keys.ARRAYS: weights, keys.CONFIG: config})
        return app(Message(content, 7, MessageType.TRAIN), node or context())

    return train


def equal(first, second):
    mine, theirs = to_arrays(first.content[keys.ARRAYS]), to_arrays(second.content[keys.ARRAYS])
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[name], theirs[name]) for name in mine)


def test_it_introduces_itself(context):
    reply = app(
        Message(RecordDict(), 7, MessageType.QUERY), context(partition_id=3, num_partitions=4, device="cpu")
    )
    assert dict(reply.content[keys.ABOUT]) == {
        "client": "partition-3",
        "device": "cpu",
        "code": code_digest(),
    }
    assert dict(reply.content[keys.METRICS]) == {"num-clients": 4}


def test_a_site_belongs_to_no_simulation(context):
    reply = app(Message(RecordDict(), 7, MessageType.QUERY), context(site="clinic", data_dir="/videos"))
    assert reply.content[keys.ABOUT]["client"] == "clinic"
    assert reply.content[keys.METRICS]["num-clients"] == 0


def test_it_returns_what_it_was_sent_but_trained(ask, weights):
    trained = to_arrays(ask().content[keys.ARRAYS])
    before = to_arrays(weights)
    assert {name: (array.shape, array.dtype) for name, array in trained.items()} == {
        name: (array.shape, array.dtype) for name, array in before.items()
    }
    assert any((trained[name] != before[name]).any() for name in trained)
    assert all(np.isfinite(array).all() for array in trained.values())


def test_it_reports(ask):
    report = TrainingReport.unpack(ask().content)
    assert report.client == "partition-0"
    assert report.steps == 2
    assert report.examples == 2  # 4 frames hold 2 windows of 3
    assert report.loss == pytest.approx(sum(report.parts.values()), rel=1e-6)  # both weights are 1
    assert set(report.parts) == {"charbonnier", "high-frequency"}
    assert report.seconds > 0
    assert report.code == code_digest()


def test_nothing_but_the_weights_and_the_report_leaves(ask):
    assert set(ask().content) == {keys.ARRAYS, keys.METRICS, keys.ABOUT}


def test_the_same_again_is_the_same_to_the_bit(ask):
    first = ask()
    torch.rand(3)  # somebody else uses the global generator
    second = ask()
    assert equal(first, second)
    assert TrainingReport.unpack(first.content).batches == TrainingReport.unpack(second.content).batches


@pytest.mark.parametrize("changes", [{"server_round": 2}, {"seed": 1}], ids=str)
def test_another_round_or_seed_trains_on_other_batches(ask, changes):
    first, second = (TrainingReport.unpack(reply.content) for reply in (ask(), ask(**changes)))
    assert first.batches != second.batches


def test_another_client_trains_on_other_batches(ask, context):
    other = ask(node=context(partition_id=1, num_partitions=2))
    assert TrainingReport.unpack(other.content).client == "partition-1"
    assert TrainingReport.unpack(other.content).batches != TrainingReport.unpack(ask().content).batches


def test_strategies_see_the_same_batches(ask, settings):
    other_loss = {"_target_": "fedvsr_core.losses.charbonnier.Charbonnier", "eps": 1e-6}
    parts = {"charbonnier": {"weight": 1.0, "loss": other_loss}}
    other = ask(loss={**settings.loss, "parts": parts})
    assert TrainingReport.unpack(other.content).batches == TrainingReport.unpack(ask().content).batches
    assert not equal(other, ask())


def test_it_leaves_nothing_on_the_node(ask, context):
    node = context()
    ask(node=node)
    assert not node.state


def test_settings_that_name_foreign_code_are_refused_here_too(ask, caplog):
    reply = ask(model={"_target_": "os.system", "command": "true"})
    assert dict(reply.content[keys.ABOUT]) == {"declined": "configuration"}
    assert "must name a class below" in caplog.text


def test_weights_of_another_network_are_refused(ask, settings, caplog):
    reply = ask(model={**settings.model, "width": 5})
    assert dict(reply.content[keys.ABOUT]) == {"declined": "software"}
    assert "size mismatch" in caplog.text


def test_the_operator_chooses_the_device(ask, context, caplog):
    reply = ask(node=context(partition_id=0, num_partitions=2, device="abacus"))
    assert dict(reply.content[keys.ABOUT]) == {"declined": "configuration"}
    assert "torch can't use 'abacus'" in caplog.text
