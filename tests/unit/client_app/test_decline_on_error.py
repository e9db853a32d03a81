"""Promises: a client that can't do what it was asked answers with a word; the details are in its own log."""

import logging

import pytest
from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from client_app import app as module
from client_app.app import app
from fedvsr_core.components import build
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import to_record


@pytest.fixture
def ask(settings):
    """Train a round on a node; returns what the reply holds."""
    weights = to_record(build(settings.model).state_dict())

    def train(node, kind=MessageType.TRAIN):
        config = ConfigRecord({keys.SERVER_ROUND: 1, keys.SETTINGS: settings.model_dump_json()})
        content = RecordDict({keys.ARRAYS: weights, keys.CONFIG: config})
        reply = app(Message(content, 7, kind), node)
        return {name: dict(record) for name, record in reply.content.items()}

    return train


@pytest.mark.parametrize(
    "make", [lambda folder: folder.mkdir(), lambda folder: None], ids=["empty", "missing"]
)
def test_a_folder_without_videos(ask, context, tmp_path, caplog, make):
    folder = tmp_path / "videos"
    make(folder)
    with caplog.at_level(logging.WARNING, "client_app"):
        assert ask(context(site="north", data_dir=str(folder))) == {"about": {"declined": "data"}}
    assert str(folder) in caplog.text


def test_a_file_that_may_not_be_read_and_a_disk_that_is_full(ask, context, monkeypatch):
    for error, word in ((PermissionError(13, "denied", "/secret"), "files"), (OSError(28, "full"), "disk")):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(module, "local_shots", fail)
        assert ask(context()) == {"about": {"declined": word}}


def test_too_little_memory(ask, context, monkeypatch):
    def grow(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    monkeypatch.setattr(module, "train_round", grow)
    assert ask(context()) == {"about": {"declined": "memory"}}


@pytest.mark.parametrize("kind", [MessageType.TRAIN, MessageType.EVALUATE, MessageType.QUERY])
def test_every_kind_of_question(ask, context, kind):
    assert ask(context(data_dir="/videos"), kind) == {"about": {"declined": "configuration"}}


def test_what_nobody_foresaw(ask, context, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("a mistake of ours in '/secret'")

    monkeypatch.setattr(module, "local_shots", fail)
    assert ask(context()) == {"about": {"declined": "software"}}
