"""Promises: a run is followed through a restart of its SuperLink, each line of its log told once.

And a signal leaves no run behind.
"""

import os
import signal
from pathlib import Path

import pytest

from fedvsr import engine
from fedvsr.endings import Ended
from fedvsr_core.errors import FederationError

AWAY = {"error-message": "Using SuperLink: x\n\nConnection to the SuperLink is unavailable. Please check."}
RUNNING = {"runs": [{"status": "running"}]}
COMPLETED = {"runs": [{"status": "finished:completed"}]}


class Clock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def play(monkeypatch):
    """Plays the answers to one question after the other, and a log that grows by a line each time."""
    clock = Clock()
    monkeypatch.setattr(engine, "time", clock)

    def start(*answers):
        left, logs = iter(answers), iter(range(1, 99))
        script = "import sys; print(*[f'line {n}' for n in range(int(sys.argv[1]))], sep='\\n')"
        monkeypatch.setattr(engine, "_answer", lambda *_: next(left))
        monkeypatch.setattr(
            engine, "flwr_command", lambda *_: [engine.sys.executable, "-S", "-c", script, str(next(logs))]
        )
        return clock

    return start


def test_a_superlink_that_is_away_for_a_while(play):
    clock, heard = play(AWAY, AWAY, RUNNING, COMPLETED), []
    assert engine.follow("7", "x", heard.append) == {"status": "finished:completed"}
    assert heard == [f"line {number}\n" for number in range(4)]
    assert clock.now == 15


def test_a_superlink_that_does_not_come_back(play):
    clock = play(*[AWAY] * 99)
    with pytest.raises(FederationError, match="the SuperLink must answer, but doesn't: Connection to the"):
        engine.follow("7", "x", lambda line: None, away_s=60)
    assert 60 < clock.now < 70


def test_a_superlink_that_has_forgotten_the_run(play):
    play({"error-message": "Using SuperLink: x\n\n[code: 2] Run not found"})
    seen = engine.follow("7", "x", lambda line: None)
    assert seen == {"status": "finished:unknown", "status-details": "[code: 2] Run not found"}


@pytest.fixture
def interruptible():
    """SIGINT and SIGTERM interrupt, even where whoever started the tests ignores them."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("interruptible")
def test_a_signal_while_a_run_is_submitted_names_the_run(monkeypatch, number):
    def answer(environment, *words):
        os.kill(os.getpid(), number)
        return {"run-id": 7}

    before = signal.getsignal(number)
    monkeypatch.setattr(engine, "_asked", answer)
    with pytest.raises(Ended) as ended:
        engine.submit(Path(), superlink="x")
    assert (ended.value.number, ended.value.run_id, ended.value.status) == (number, "7", 128 + number)
    assert signal.getsignal(number) == before


@pytest.mark.usefixtures("interruptible")
def test_a_second_interrupt_does_not_wait(monkeypatch):
    reached = []

    def answer(environment, *words):
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("first")
        os.kill(os.getpid(), signal.SIGTERM)
        reached.append("second")

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(engine, "_asked", answer)
    with pytest.raises(Ended):
        engine.submit(Path(), superlink="x")
    assert reached == ["first"]
    assert signal.getsignal(signal.SIGINT) == before
