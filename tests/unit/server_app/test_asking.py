"""Promises: messages go out once; each node gives one answer or one refusal, as it comes; waiting ends."""

import gc
import weakref

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict

from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.declines import decline
from server_app.asking import Asking, Refusal, RefusedError, log_all


def echo(message, client=None, code=None, **records):
    about = {
        keys.CLIENT: client or f"c{message.metadata.dst_node_id}",
        keys.CODE: code or code_digest(),
    }
    return Message(RecordDict({keys.ABOUT: ConfigRecord(about), **records}), reply_to=message)


def ask(grid, *nodes, read=lambda answer: answer.node, clients=None, **options):
    contents = {node: RecordDict({"arrays": record_from_arrays({"a": [0.0] * 4})}) for node in nodes}
    names = {node: f"c{node}" for node in nodes} if clients is None else clients
    return Asking(grid, contents, "train", read=read, clients=names, lifetime_s=100, **options)


def refused(answers):
    return [(answer.client, answer.node, answer.code) for answer in answers if isinstance(answer, Refusal)]


def test_all_answers_and_who_gave_them(fake_grid):
    asking = ask(fake_grid(answer=echo), 5, 3, 4, read=lambda answer: (answer.client, answer.node))
    assert asking.sent == 3
    assert list(asking.answers(10)) == [("c3", 3), ("c4", 4), ("c5", 5)]
    assert asking.is_over
    assert asking.missing() == []


def test_no_node_can_guess_what_another_was_sent(fake_grid):
    """Flower takes a reply from whoever knows the message's id, its digest: so nobody else may guess it."""
    grid = fake_grid()
    ask(grid, 1, 2)
    ask(grid, 1)
    nonces = [message.content[keys.NONCE][keys.NONCE] for message in grid.pushed]
    assert len(set(nonces)) == 3
    assert {len(bytes.fromhex(nonce)) for nonce in nonces} == {16}


def test_nobody_is_asked(fake_grid):
    asking = ask(fake_grid())
    assert list(asking.answers(10)) == []
    assert asking.is_over


def test_answers_come_in_the_order_of_their_arrival_with_their_seconds(fake_grid, clock):
    arrives = {1: 5.0, 2: 1.0, 3: 3.0}
    grid = fake_grid(
        answer=lambda message: echo(message) if clock.now >= arrives[message.metadata.dst_node_id] else None
    )
    asking = ask(grid, 1, 2, 3, read=lambda answer: (answer.node, answer.seconds))
    seen = list(asking.answers(10))
    assert [node for node, _ in seen] == [2, 3, 1]
    for node, seconds in seen:
        assert arrives[node] <= seconds < arrives[node] + 0.5


def test_one_that_never_answers_is_missing(fake_grid, clock):
    grid = fake_grid(answer=lambda message: None if message.metadata.dst_node_id == 2 else echo(message))
    asking = ask(grid, 1, 2, 3)
    assert list(asking.answers(7.0)) == [1, 3]
    assert 7.0 <= clock.now < 7.5
    assert not asking.is_over
    assert asking.missing() == [Refusal("c2", 2, "timeout", "it didn't reply in time")]


def test_no_time_at_all_still_takes_what_is_here(fake_grid, clock):
    assert list(ask(fake_grid(answer=echo), 1, 2).answers(0)) == [1, 2]
    assert clock.now == 0


def test_what_comes_later_can_be_asked_for_again(fake_grid, clock):
    grid = fake_grid(
        answer=lambda message: echo(message) if clock.now >= message.metadata.dst_node_id else None
    )
    asking = ask(grid, 1, 9)
    clock.now = 1
    assert list(asking.answers(2)) == [1]
    clock.now = 20
    assert list(asking.answers(0)) == [9]
    assert list(asking.answers(5)) == []


@pytest.mark.parametrize("refused_id", [None, ""], ids=["in memory", "over the network"])
def test_a_node_whose_message_the_grid_does_not_take(fake_grid, clock, refused_id):
    grid = fake_grid(answer=echo)
    grid.refuses, grid.refused_id = {2}, refused_id
    asking = ask(grid, 1, 2, 3)
    first, *others = asking.answers(10)
    assert refused([first]) == [("c2", 2, "unsent")]
    assert others == [1, 3]
    assert (clock.now, asking.missing()) == (0, [])


def test_a_reply_is_made_when_it_is_asked_for(fake_grid):
    grid = fake_grid(answer=echo)
    answers = ask(grid, 1, 2, 3).answers(10)
    assert grid.pulls.total() == 0
    next(answers)
    assert grid.pulls.total() == 1


def test_a_reply_is_let_go_when_it_is_read(fake_grid):
    alive = []

    def answer(message):
        reply = echo(message)
        alive.append(weakref.ref(reply))
        return reply

    count = 0
    for _ in ask(fake_grid(answer=answer), 1, 2, 3).answers(10):
        count += 1
        gc.collect()
        assert [reply() for reply in alive] == [None] * count
    assert count == 3


def test_slow_use_of_answers_loses_none_that_is_here(fake_grid, clock):
    received = []
    for node in ask(fake_grid(answer=echo), 1, 2, 3).answers(1):
        received.append(node)
        clock.now += 10
    assert received == [1, 2, 3]


def test_what_is_sent_lives_little_longer_than_it_is_waited_for(fake_grid):
    grid = fake_grid()
    ask(grid, 1, 2)
    assert [message.metadata.ttl for message in grid.pushed] == [160, 160]


def test_an_answer_that_comes_too_late_reaches_no_later_question(fake_grid, clock):
    grid = fake_grid(answer=lambda message: echo(message) if clock.now >= 15 else None)
    first = ask(grid, 1)
    assert list(first.answers(10)) == []
    clock.now = 20
    assert list(ask(grid, 1).answers(10)) == [1]
    assert grid.pulls["message-1"] == 1


def test_bytes_both_ways(fake_grid):
    grid = fake_grid(answer=lambda message: echo(message, arrays=record_from_arrays({"a": [0.0] * 100})))
    asking = ask(grid, 1, 2)
    list(asking.answers(0))
    assert asking.bytes_down == 2 * (32 + 128)  # four float64 and numpy's header
    assert asking.bytes_up == 2 * (800 + 128)


def failing(reason, code=0):
    return lambda message: Message(Error(code, reason), reply_to=message)


def emptied(message):
    reply = echo(message)
    reply.__dict__["_content"] = None
    return reply


def other(message_id):
    def answer(message):
        reply = echo(message)
        reply.metadata.__dict__["_reply_to_message_id"] = message_id
        return reply

    return answer


def declining(message):
    return Message(decline("memory"), reply_to=message)


CASES = {
    "failure": ("error", "error 2: MemoryError: no room", failing("Trace\n  x\nMemoryError: no room\n", 2)),
    "escaped": ("error", "error 2: MemoryError: no room", failing("Traceback\\nMemoryError: no room", 2)),
    "silent failure": ("error", "error 5: no reason given", failing(None, 5)),
    "novel": ("error", "error 5: x", failing("x" * 10_000, 5)),
    "empty": ("error", "it has no content", emptied),
    "declined": ("declined", "it declines: it has too little", declining),
    "no words": ("report", "it doesn't say who it is", lambda m: Message(RecordDict(), reply_to=m)),
    "other name": ("identity", "it says that it is 'c7'", lambda m: echo(m, client="c7")),
    "long name": ("identity", "it says that it is 'xxx", lambda m: echo(m, client="x" * 1000)),
    "other code": ("code", "it runs other code (digest abc) than the server", lambda m: echo(m, code="abc")),
    "long code": ("report", "its code must be letters, digits,", lambda m: echo(m, code="y" * 1_000_000)),
    "markup": ("report", "its code must be letters, digits,", lambda m: echo(m, code="<b>")),
    "terminal": ("error", "error 5: \\x1b[2Jx", failing("\x1b[2Jx", 5)),
    "stranger": ("unknown", "node 1 answers nothing that we asked", other("message-77")),
    "answers nobody": ("unknown", "node 1 answers nothing that we asked", other("")),
}  # fmt: skip


@pytest.mark.parametrize(("code", "why", "answer"), CASES.values(), ids=CASES)
def test_refuses(code, why, answer, fake_grid):
    (refusal,) = ask(fake_grid(answer=answer), 1).answers(0)
    assert refusal.code == code
    assert refusal.reason.startswith(why), refusal.reason
    assert len(refusal.reason) <= 310
    assert (refusal.client, refusal.node) == (("unknown", 0) if code == "unknown" else ("c1", 1))


def test_a_second_answer_is_refused(fake_grid):
    grid = fake_grid(answer=echo)
    grid.pull_messages = lambda ids: [echo(grid.pushed[0]), echo(grid.pushed[0])]
    assert refused(ask(grid, 1).answers(0)) == [("c1", 1, "duplicate")]


def test_whoever_reads_may_refuse(fake_grid):
    def read(answer):
        raise RefusedError("report", f"{answer.client} talks nonsense" + "." * 500)

    (refusal,) = ask(fake_grid(answer=echo), 1, read=read).answers(0)
    assert (refusal.code, len(refusal.reason)) == ("report", 300)


def test_a_node_without_a_known_name_tells_it_and_any_code_may_be_allowed(fake_grid):
    asking = ask(
        fake_grid(answer=lambda message: echo(message, code="other")),
        1,
        clients={},
        same_code=False,
        read=lambda answer: (answer.client, answer.code),
    )
    assert list(asking.answers(0)) == [("c1", "other")]


@pytest.mark.parametrize(
    "reason",
    [
        "ray.exceptions.ActorDiedError: The actor died unexpectedly before it finished.\n\tclass_name: x",
        "ActorUnavailableError: retry later",
        "<class 'x'>:<'The actor is dead because its owner has died'>",
    ],
)
def test_a_dead_worker_is_noted(reason, fake_grid):
    asking = ask(fake_grid(answer=failing(reason)), 1)
    assert refused(asking.answers(0)) == [("c1", 1, "error")]
    assert asking.dead_worker == reason


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("ValueError: the actor in this film is dead tired", 0),
        ("", 0),
        (None, 0),
        ("torch.OutOfMemoryError: no room; ActorDiedError", 2),  # what a client raises
    ],
)
def test_an_error_of_the_app_is_no_dead_worker(reason, code, fake_grid):
    asking = ask(fake_grid(answer=failing(reason, code)), 1)
    assert refused(asking.answers(0)) == [("c1", 1, "error")]
    assert asking.dead_worker is None


def test_the_log_and_the_journal_say_the_same_of_all(caplog):
    named, stranger = Refusal("north", 7, "timeout", "late"), Refusal("unknown", 8, "unknown", "who?")
    log_all([named, stranger], "round 3")
    assert caplog.messages == [
        "round 3: left out north (timeout): late",
        "round 3: left out node 8 (unknown): who?",
    ]
    assert named.row() == {"client": "north", "node": "7", "code": "timeout", "reason": "late"}
