"""Promises: a tracker gets a line's finite numbers, under names that it takes."""

from server_app.tracking.numbers import numbers_of, tidy
from tests.journals import client, refusal, train
from tests.pages import HOSTILE, evaluation, long_journal


def test_of_a_round_of_training():
    rows = [client("north", 0.04, 0.75), {**client("south", 0.02, 0.25), "loss": "nan"}]
    numbers = numbers_of(train(3, rows, [refusal("east", "error", "why")]))
    assert numbers["loss/north"] == 0.04
    assert "loss/south" not in numbers
    assert "loss/mean" not in numbers  # of a loss that isn't finite there is no mean
    assert numbers["weight/south"] == 0.25
    # 0.75 of 0.04 and of 0.02: 0.03 and 0.015.
    assert numbers["loss-part/charbonnier"] == 0.0225
    assert numbers["round/mb-up"] == 0.001
    assert (numbers["round/clients"], numbers["round/left-out"]) == (2, 1)


def test_of_a_scoring():
    numbers = numbers_of(evaluation(2, 1.0))
    assert numbers["score/psnr-y"] == 29.0
    assert numbers["score-of-bicubic/psnr-y"] == 28.0
    assert numbers["score-psnr-y/bikes/138-186"] == 25.0


def test_other_lines_have_none():
    lines = long_journal(1, 1)
    assert numbers_of(lines[0]) == numbers_of(lines[-1]) == {}


def test_names_of_others_are_tidied():
    for word in HOSTILE:
        assert set(tidy(word)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./ -")
    assert len(tidy("a" * 500)) == 100
