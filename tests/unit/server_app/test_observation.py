"""Promises: what a round reports becomes rows, and a dead worker stops the run."""

import pytest
from flwr.app import Error, Message, MessageType, RecordDict

from fedvsr_core.errors import FederationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.training_report import TrainingReport
from server_app.observation import Observation


def reply(node, client, *, code=None, loss=0.5, size=10):
    report = TrainingReport(
        client=client, examples=7, steps=3, loss=loss, parts={"charbonnier": loss}, seconds=1.5,
        peak_memory_mb=64.0, device="cpu", code=code or code_digest(), batches="ab12",
    )  # fmt: skip
    arrays = record_from_arrays({"weight": [0.0] * size})
    content = RecordDict({keys.ARRAYS: arrays, **report.pack()})
    return Message(content, reply_to=Message(RecordDict(), node, MessageType.TRAIN))


def failure(node, reason, code=0):
    return Message(Error(code, reason), reply_to=Message(RecordDict(), node, MessageType.TRAIN))


@pytest.fixture
def observation():
    return Observation("round 2/8", of=3)


def test_a_row_for_each_client_that_was_let_in(observation):
    replies = [reply(12, "b"), reply(11, "a", loss=0.25)]
    assert list(observation.admitted(replies)) == replies
    assert [row["client"] for row in observation.clients] == ["b", "a"]  # as they arrived
    assert observation.clients[1].pop("reply-seconds") == 0.0
    assert observation.clients[1] == {
        "client": "a",
        "node": "11",
        "loss": 0.25,
        "parts": {"charbonnier": 0.25},
        "examples": 7,
        "steps": 3,
        "seconds": 1.5,
        "peak-memory-mb": 64.0,
        "device": "cpu",
        "batches": "ab12",
    }


def test_the_journals_line(observation):
    list(observation.admitted(observation.arriving([reply(12, "b"), reply(11, "a")])))
    line = observation.line({"weights": {11: 0.25, 12: 0.75}, "mixing": 0.5})
    assert [(row["client"], row["weight"]) for row in line["clients"]] == [("a", 0.25), ("b", 0.75)]
    assert line["mixing"] == 0.5
    assert "weights" not in line
    assert line["bytes-up"] == 2 * (80 + 128)  # ten float64 and numpy's header, twice
    assert line["server-memory-mb"] > 1


def test_without_weights_there_are_none_to_tell(observation):
    list(observation.admitted([reply(11, "a")]))
    assert [row["weight"] for row in observation.line({})["clients"]] == [None]


def test_bytes_are_counted_of_replies_that_are_not_let_in(observation):
    assert len(list(observation.arriving([reply(11, "a", size=100)]))) == 1
    assert observation.line({})["bytes-up"] == 928
    assert observation.line({})["clients"] == []


def test_the_log_says_who_has_trained(observation, caplog):
    caplog.set_level("INFO", "server_app")
    list(observation.admitted([reply(11, "a")]))
    assert caplog.messages == ["round 2/8: a trained 3 steps in 2 s, loss 0.50000 (1 of 3)"]


def test_replies_pass_one_at_a_time(observation):
    seen = []

    def arriving():
        for number in range(3):
            seen.append(number)
            yield reply(number, str(number))

    for _ in observation.admitted(observation.arriving(arriving())):
        assert len(observation.clients) == len(seen)


def test_what_a_client_raises_stops_nothing(observation):
    raised = failure(12, "torch.OutOfMemoryError: no room; ActorDiedError", code=2)
    assert len(list(observation.arriving([raised]))) == 1
    observation.stop_if_a_worker_died()


@pytest.mark.parametrize(
    "reason",
    [
        "ray.exceptions.ActorDiedError: The actor died unexpectedly before it finished.\n\tclass_name: x",
        "ActorUnavailableError: retry later",
        "<class 'x'>:<'The actor is dead because its owner has died'>",
    ],
)
def test_a_dead_worker_stops_the_run(observation, reason):
    assert len(list(observation.arriving([failure(12, reason), reply(11, "a")]))) == 2
    sentence = r"^round 2/8: a worker process of the simulation engine died, .*; give each client more room"
    with pytest.raises(FederationError, match=sentence):
        observation.stop_if_a_worker_died()


@pytest.mark.parametrize("reason", ["ValueError: the actor in this film is dead tired", "", None])
def test_an_error_of_the_app_stops_nothing(observation, reason):
    list(observation.arriving([failure(12, reason)]))
    assert observation.stop_if_a_worker_died() is None
