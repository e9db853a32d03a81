"""Promises: what a site is asked and sends is on its disk before anything leaves, or nothing leaves."""

import errno
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from client_app import audit_log
from client_app.app import app
from client_app.audit_log import AuditLog
from fedvsr_core.components import build
from fedvsr_core.errors import AuditError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import to_arrays, to_record

EVER = datetime.fromtimestamp(0, UTC)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "audit"


@pytest.fixture
def ask(settings, context, folder):
    """Ask a node that keeps a record; returns what was sent to it, and its reply."""

    def answer(kind=MessageType.TRAIN, upload="weights", **node_config):
        training = settings.training.model_copy(update={"upload": upload})
        text = settings.model_copy(update={"training": training}).model_dump_json()
        config = ConfigRecord({keys.SERVER_ROUND: 3, keys.SETTINGS: text, keys.RUN: "spring"})
        arrays = to_record(build(settings.model).state_dict())
        message = Message(RecordDict({keys.ARRAYS: arrays, keys.CONFIG: config}), 7, kind)
        node = context(**{"partition_id": 0, "num_partitions": 2, "audit_dir": str(folder), **node_config})
        return arrays, app(message, node).content

    return answer


def lines(folder):
    return [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("upload", ["weights", "float16"])
def test_what_is_asked_and_sent(ask, folder, upload):
    start, reply = ask(upload=upload)
    asked, sent = lines(folder)
    assert asked["event"] == "asked"
    assert asked["config"] == {"server-round": 3, "run": "spring"}
    assert len(asked["settings"]) == 16
    assert asked["bytes"] == sum(len(array.data) for array in start.values())
    assert (sent["event"], sent["run"], sent["message"]) == ("sent", asked["run"], asked["message"])
    assert sent["records"]["metrics"] == dict(reply[keys.METRICS])
    assert sent["records"]["about"] == dict(reply[keys.ABOUT])
    arrays = sent["records"]["arrays"]
    assert arrays["arrays"] == len(start)
    assert arrays["bytes"] == sum(len(array.data) for array in reply[keys.ARRAYS].values())
    if upload == "weights":
        before, after = to_arrays(start), to_arrays(reply[keys.ARRAYS])
        norm = math.sqrt(sum(float(np.sum((after[name] - before[name]) ** 2.0)) for name in before))
        assert arrays["norm"] == pytest.approx(norm, rel=1e-5)
    assert 1e-3 < arrays["norm"] < 1


def test_the_norm_is_that_of_the_change_whatever_is_uploaded(ask, folder):
    ask(upload="weights")
    ask(upload="float16")
    whole, half = (line["records"]["arrays"]["norm"] for line in lines(folder) if line["event"] == "sent")
    assert half == pytest.approx(whole, rel=1e-2)


@pytest.mark.parametrize("kind", [MessageType.QUERY, MessageType.EVALUATE])
def test_every_kind_of_question(ask, folder, kind):
    ask(kind)
    assert [(line["event"], line["kind"]) for line in lines(folder)] == [("asked", kind), ("sent", kind)]


def test_what_is_declined_and_why(ask, folder):
    _, reply = ask(code="0123456789abcdef")
    assert dict(reply[keys.ABOUT]) == {"declined": "code"}
    declined = lines(folder)[-1]
    assert (declined["event"], declined["word"]) == ("declined", "code")
    assert declined["reason"].startswith("this site runs the code 0123456789abcdef only")


def test_without_a_folder_there_is_no_record(ask, folder):
    ask(audit_dir="")
    assert not folder.exists()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_full_disk_sends_nothing_and_says_so(ask, folder, monkeypatch, caplog, when):
    """Before the work nothing is done; after it nothing leaves, and what was on the disk stays whole."""
    real, calls = os.write, []

    def write(descriptor, line):
        calls.append(line)
        if when == "before" or len(calls) == 2:
            real(descriptor, line[: len(line) // 2])  # as much as there was room for
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, line)

    monkeypatch.setattr(audit_log.os, "write", write)
    if when == "before":
        monkeypatch.setattr("client_app.training_round.local_shots", pytest.fail)
    _, reply = ask()
    assert {name: dict(record) for name, record in reply.items()} == {"about": {"declined": "audit"}}
    assert f"must be written to '{folder}', but: No space left on device; nothing is sent" in caplog.text
    monkeypatch.setattr(audit_log.os, "write", real)
    AuditLog(folder).append({"event": "later"})
    assert [line["event"] for line in lines(folder)] == ["asked", "later"][when == "before" :]


def test_a_folder_that_cannot_be_made(ask, folder):
    folder.write_text("a file")
    _, reply = ask()
    assert dict(reply[keys.ABOUT]) == {"declined": "audit"}


@pytest.mark.parametrize("left", [b'{"time": "2026', b'{"event": "whole"}\n{"ti'])
def test_what_a_crash_leaves_of_a_line_is_cut_off(folder, left):
    folder.mkdir()
    (folder / "audit.jsonl").write_bytes(left)
    AuditLog(folder).append({"event": "next"})
    assert [line["event"] for line in lines(folder)] == ["whole", "next"][left.startswith(b'{"t') :]


def test_a_large_file_is_set_aside_and_still_counts(folder, monkeypatch):
    monkeypatch.setattr(audit_log, "LARGEST", 300)
    log = AuditLog(folder)
    for number in range(20):
        log.append({"number": number})
    assert len(list(folder.glob("audit-*.jsonl"))) == 3
    assert [record["number"] for record in log.since(EVER)] == list(reversed(range(20)))
    times = [datetime.fromisoformat(record["time"]) for record in log.since(EVER)]
    assert len(list(log.since(times[5]))) >= 6


def test_a_damaged_line_is_named(folder):
    AuditLog(folder).append({"event": "asked"})
    with (folder / "audit.jsonl").open("ab") as file:
        file.write(b"nothing\n")
    with pytest.raises(AuditError, match=r"line 2 of '.*audit\.jsonl' must be a record with its time"):
        list(AuditLog(folder).since(EVER))


def test_lines_of_several_writers_never_mix(folder):
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(lambda number: AuditLog(folder).append({"number": number, "pad": "x" * 500}), range(40))
        )
    assert sorted(line["number"] for line in lines(folder)) == list(range(40))
