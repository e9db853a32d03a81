"""What a command does about the signals that end it.

Each becomes an exception, so that whatever was begun is ended on the way out, and then an exit status that
tells which it was. What whoever started the command has ignored stays ignored: SIGINT in the background of a
script, SIGHUP under ``nohup``.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGXCPU)
"""Ctrl-C, kill, a closed terminal, Ctrl-backslash, and what schedulers send before a time limit."""


class Ended(KeyboardInterrupt):
    """A signal wants the command to end.

    Args:
        number: Its number.
        run_id: The run that had just been submitted, and that nobody else knows of.

    Attributes:
        number: As given.
        run_id: As given.
    """

    def __init__(self, number: int, run_id: str = "") -> None:
        super().__init__(number)
        self.number, self.run_id = signal.Signals(number), run_id

    @property
    def status(self) -> int:
        """The exit status, as shells have it."""
        return 128 + self.number


@contextmanager
def raised() -> Iterator[None]:
    """Raise `Ended` at the signals that end a command; in threads other than the first nothing changes."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended(number)

    with _handled(end):
        yield


@contextmanager
def held_back() -> Iterator[list[int]]:
    """Collect a signal instead of being ended by it, but not a second one."""
    came: list[int] = []

    def collect(number: int, frame: FrameType | None) -> None:
        if came:
            raise Ended(number)
        came.append(number)

    with _handled(collect):
        yield came


@contextmanager
def _handled(handler: "signal._HANDLER") -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier or signal.SIG_DFL)


def say(text: str) -> None:
    """Write a line of output, and see whether somebody still hears it.

    Raises:
        Ended: If whoever read it is gone: a closed pipe or terminal.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # else Python says so once more at its end
        raise Ended(signal.SIGPIPE) from error
