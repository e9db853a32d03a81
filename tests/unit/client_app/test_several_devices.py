"""Promises: processes that share every batch train what one would; one that dies makes a declined round."""

import logging
import threading

import numpy as np
import psutil
import pytest
import torch
from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from client_app.app import app
from client_app.several_devices import training_devices
from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import to_arrays, to_record
from fedvsr_core.flower.training_report import TrainingReport

SCAFFOLD = {"_target_": "client_app.objectives.control_variate.ControlVariate", "option": 2}


def ask(settings, node):
    """Train a round; returns the reply."""
    torch.manual_seed(1)
    weights = to_record(build(settings.model).state_dict())
    config = ConfigRecord({keys.SERVER_ROUND: 1, keys.SETTINGS: settings.model_dump_json()})
    content = RecordDict({keys.ARRAYS: weights, keys.CONFIG: config})
    return app(Message(content, 7, MessageType.TRAIN), node)


def test_two_processes_equal_one(settings, context, tmp_path):
    # Adam's first steps have the size of the step size, whatever the gradient: SGD shows more.
    training = settings.training.model_copy(update={"batch": 4, "steps": 3, "clip_norm": 0.01})
    optimiser = {"_target_": "torch.optim.SGD", "lr": 0.5}
    changed = settings.model_copy(
        update={"training": training, "optimiser": optimiser, "objective": SCAFFOLD}
    )
    replies, states = [], []
    for count in (1, 2):
        node = context(
            partition_id=0,
            num_partitions=2,
            device="cpu",
            devices=count,
            memory_dir=str(tmp_path / str(count)),
        )
        replies.append(ask(changed, node).content)
        states.append(node.state)
    reports = [TrainingReport.unpack(reply) for reply in replies]
    assert [report.device for report in reports] == ["cpu", "2 x cpu"]
    assert reports[0].batches == reports[1].batches
    assert reports[0].loss == pytest.approx(reports[1].loss, rel=1e-6)
    assert reports[0].parts == pytest.approx(reports[1].parts, rel=1e-6)
    assert (reports[0].steps, reports[0].examples) == (reports[1].steps, reports[1].examples)
    for name in (keys.ARRAYS, keys.VARIATES):
        one, two = (to_arrays(reply[name]) for reply in replies)
        assert one.keys() == two.keys()
        for key in one:
            np.testing.assert_allclose(one[key], two[key], rtol=0, atol=1e-6)
    torch.manual_seed(1)
    start = build(changed.model).state_dict()
    trained = to_arrays(replies[0][keys.ARRAYS])
    assert max(np.abs(trained[key] - start[key].numpy()).max() for key in trained) > 1e-4
    assert list(states[0]) == list(states[1]) == ["memory-000001"]  # one of them has kept the variate


def test_a_process_that_is_killed_makes_a_declined_round(settings, context, caplog):
    training = settings.training.model_copy(update={"steps": 10**6})
    changed = settings.model_copy(update={"training": training})
    answers = []
    node = context(partition_id=0, num_partitions=2, device="cpu", devices=2)
    before = set(psutil.Process().children())
    with caplog.at_level(logging.WARNING, "client_app"):
        round_ = threading.Thread(target=lambda: answers.append(ask(changed, node)))
        round_.start()
        while len(ranks := [one for one in psutil.Process().children() if _is_a_rank(one, before)]) < 2:
            pass
        ranks[1].kill()
        round_.join(60)
    assert dict(answers[0].content[keys.ABOUT]) == {"declined": "memory"}
    assert "process 2 of 2 of this round's training ended with exit code -9" in caplog.text
    assert not any(one.is_running() for one in ranks)


def _is_a_rank(process, before):
    try:
        return process not in before and "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def test_what_a_process_raises_is_raised_here(settings, context, caplog):
    training = settings.training.model_copy(update={"patch": 400})
    with caplog.at_level(logging.WARNING, "client_app"):
        reply = ask(
            settings.model_copy(update={"training": training}),
            context(partition_id=0, num_partitions=2, device="cpu", devices=2),
        )
    assert dict(reply.content[keys.ABOUT]) == {"declined": "data"}
    assert "expected clips of at least 400x400" in caplog.text


@pytest.mark.parametrize(
    ("batch", "used", "warning"),
    [
        (8, 4, ""),
        (6, 3, "3 of 4 devices train: a batch of 6 isn't divided by more"),
        (1, 1, "1 of 4 devices"),
    ],
)
def test_a_batch_is_divided_equally(monkeypatch, caplog, batch, used, warning):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with caplog.at_level(logging.WARNING, "client_app"):
        places = training_devices({"devices": 4}, batch)
    assert places == [torch.device("cuda", rank) for rank in range(used)]
    assert warning in caplog.text


def test_one_device_is_the_one_that_is_named():
    assert training_devices({"device": "cpu"}, 3) == [torch.device("cpu")]


@pytest.mark.parametrize("count", [0, 5])
def test_more_devices_than_there_are(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(
        ConfigurationError, match=f"'devices' must be 1, or at most .* got {count} of 4 with 'auto'"
    ):
        training_devices({"devices": count}, 8)
