"""Promises: messages go out once, replies come one at a time as they arrive, waiting ends."""

import gc
import weakref

import pytest
from flwr.app import DEFAULT_TTL, Message, RecordDict

from server_app.exchange import Exchange


def messages(*nodes):
    return [Message(RecordDict(), node, "train") for node in nodes]


def echo(message):
    return Message(RecordDict(), reply_to=message)


def sources(replies):
    return [reply.metadata.src_node_id for reply in replies]


def test_all_replies_and_whom_they_answer(fake_grid):
    exchange = Exchange(fake_grid(answer=echo), messages(5, 3, 4))
    replies = list(exchange.replies(10))
    assert sources(replies) == [5, 3, 4]
    assert [exchange.sent[reply.metadata.reply_to_message_id] for reply in replies] == [5, 3, 4]
    assert exchange.waiting == []


def test_messages_are_made_as_they_are_sent(fake_grid):
    grid = fake_grid(answer=echo)

    def one_by_one():
        for number, message in enumerate(messages(1, 2, 3)):
            assert len(grid.pushed) == number
            yield message

    assert list(Exchange(grid, one_by_one()).sent.values()) == [1, 2, 3]


def test_no_messages(fake_grid):
    assert list(Exchange(fake_grid(), []).replies(10)) == []


def test_replies_come_in_the_order_of_their_arrival(fake_grid, clock):
    arrives = {1: 5.0, 2: 1.0, 3: 3.0}
    grid = fake_grid(
        answer=lambda message: echo(message) if clock.now >= arrives[message.metadata.dst_node_id] else None
    )
    seen = [
        (reply.metadata.src_node_id, clock.now) for reply in Exchange(grid, messages(1, 2, 3)).replies(10)
    ]
    assert [node for node, _ in seen] == [2, 3, 1]
    for node, time in seen:
        assert arrives[node] <= time < arrives[node] + 0.5


def test_a_reply_that_never_arrives(fake_grid, clock):
    grid = fake_grid(answer=lambda message: None if message.metadata.dst_node_id == 2 else echo(message))
    exchange = Exchange(grid, messages(1, 2, 3))
    assert sources(exchange.replies(7.0)) == [1, 3]
    assert 7.0 <= clock.now < 7.5
    assert [exchange.sent[message_id] for message_id in exchange.waiting] == [2]


def test_no_time_at_all_still_takes_what_is_here(fake_grid, clock):
    assert sources(Exchange(fake_grid(answer=echo), messages(1, 2)).replies(0)) == [1, 2]
    assert clock.now == 0


def test_what_comes_later_can_be_asked_for_again(fake_grid, clock):
    grid = fake_grid(
        answer=lambda message: echo(message) if clock.now >= message.metadata.dst_node_id else None
    )
    exchange = Exchange(grid, messages(0, 9))
    assert sources(exchange.replies(2)) == [0]
    clock.now = 20
    assert sources(exchange.replies(0)) == [9]
    assert list(exchange.replies(5)) == []


@pytest.mark.parametrize("refused_id", [None, ""], ids=["in memory", "over the network"])
def test_a_node_that_the_grid_refuses(fake_grid, clock, refused_id):
    grid = fake_grid(answer=echo)
    grid.refuses, grid.refused_id = {2}, refused_id
    exchange = Exchange(grid, messages(1, 2, 3))
    assert exchange.unsent == [2]
    assert sources(exchange.replies(10)) == [1, 3]
    assert clock.now == 0


def test_a_reply_is_made_when_it_is_asked_for(fake_grid):
    grid = fake_grid(answer=echo)
    replies = Exchange(grid, messages(1, 2, 3)).replies(10)
    assert grid.pulls.total() == 0
    next(replies)
    assert grid.pulls.total() == 1


def test_a_reply_is_let_go_before_the_next_is_taken(fake_grid):
    alive = []

    def answer(message):
        gc.collect()
        assert [reply() for reply in alive if reply() is not None] == []
        reply = echo(message)
        alive.append(weakref.ref(reply))
        return reply

    count = 0
    for reply in Exchange(fake_grid(answer=answer), messages(1, 2, 3)).replies(10):
        count += 1
        del reply
    assert count == 3


def test_slow_use_of_replies_loses_none_that_is_here(fake_grid, clock):
    received = []
    for reply in Exchange(fake_grid(answer=echo), messages(1, 2, 3)).replies(1):
        received.append(reply.metadata.src_node_id)
        clock.now += 10
    assert received == [1, 2, 3]


def test_what_is_sent_lives_little_longer_than_it_is_waited_for(fake_grid):
    grid = fake_grid()
    made = messages(1, 2)
    made[0].metadata.__dict__["_created_at"] -= 50  # it waited for others to be sent
    Exchange(grid, made, 100)
    assert [round(message.metadata.ttl) for message in grid.pushed] == [50 + 100 + 60, 100 + 60]


def test_without_a_limit_it_is_flowers(fake_grid):
    grid = fake_grid()
    Exchange(grid, messages(1))
    assert [message.metadata.ttl for message in grid.pushed] == [DEFAULT_TTL]


def test_a_reply_that_comes_too_late_reaches_no_later_exchange(fake_grid, clock):
    grid = fake_grid(answer=lambda message: echo(message) if clock.now >= 15 else None)
    first = Exchange(grid, messages(1), 10)
    assert list(first.replies(10)) == []
    clock.now = 20
    second = Exchange(grid, messages(1), 10)
    assert [reply.metadata.reply_to_message_id for reply in second.replies(10)] == list(second.sent)
    assert second.sent.keys().isdisjoint(first.sent)
