"""What a person sees of a run while it goes on: our lines, and on a terminal how far it is."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from fedvsr.endings import say
from fedvsr_core.flower.home import flower_home

_SHOWN = re.compile(r"(?:\(ClientAppActor pid=\d+\) )?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4}  .*")
"""A line of ours, by the server or by a simulated client; the others are Flower's and Ray's."""
_ROUND = re.compile(r"[-+: \d]{24}  round (\d+)/(\d+): (?:held-out |.*\((\d+) of (\d+)\)$)")
_KEPT = 20
"""Whole logs that are kept; the newest."""


class Display:
    """Shows the lines of a run's log.

    Args:
        log: File for the whole log.
        verbose: Whether Flower's and Ray's lines are shown, too.
        progress: What is kept up to date on a terminal, or None.
    """

    def __init__(self, log: Path, *, verbose: bool, progress: Progress | None) -> None:
        self._log, self._verbose, self._progress = log, verbose, progress
        self._task: TaskID | None = None
        self._first: tuple[int, float] | None = None

    def show(self, line: str) -> None:
        """Take a line of the log.

        Raises:
            Ended: If nobody reads what is shown.
        """
        with suppress(OSError), self._log.open("a", encoding="utf-8") as file:
            file.write(line)
        if self._progress and (seen := _ROUND.match(line.rstrip("\n"))):
            self._advance(self._progress, *map(int, seen.groups(default="0")))
        if not self._verbose and not _SHOWN.fullmatch(line.rstrip("\n")):
            return
        if self._progress and self._progress.live.is_started:
            self._progress.console.print(line.rstrip("\n"), markup=False, highlight=False, soft_wrap=True)
        else:
            say(line)

    def _advance(self, progress: Progress, server_round: int, rounds: int, done: int, clients: int) -> None:
        if self._task is None:
            self._task = progress.add_task("", total=rounds, left="")
            progress.start()
        now = time.monotonic()
        of_clients = f", client {done} of {clients}" if clients else ""
        completed = server_round - (1 - done / clients if clients else 0)
        if self._first is None:
            self._first = (server_round, now)
        first, began = self._first
        left = ""
        if not clients and server_round > first:
            left = f"{_duration((now - began) / (server_round - first) * (rounds - server_round))} left"
        before = str(progress.tasks[0].fields.get("left", ""))
        progress.update(
            self._task,
            completed=max(completed, 0),
            description=f"round {server_round} of {rounds}{of_clients}",
            left=left or before,
        )


@contextmanager
def displayed(run_id: str, *, verbose: bool) -> Iterator[Callable[[str], None]]:
    """Yields what is called with each line of a run's log; `whole_log` has all of them."""
    log = whole_log(run_id)
    with suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        for old in sorted(log.parent.glob("*.log"), key=lambda path: path.stat().st_mtime)[: -_KEPT + 1]:
            old.unlink(missing_ok=True)
    progress = None
    if sys.stdout.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
        progress = Progress(*columns, transient=True)
    display = Display(log, verbose=verbose, progress=progress)
    try:
        yield display.show
    finally:
        if progress:
            progress.stop()


def whole_log(run_id: str) -> Path:
    """Where all that Flower passed on of a run is kept."""
    return flower_home() / "fedvsr-logs" / f"{run_id}.log"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(minutes, 1)} min"
