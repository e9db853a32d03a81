"""Passes a run's journal on to a tracker, in a thread of its own, so that nothing there holds up a run."""

import logging
import queue
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from server_app.records.crop_series import side_by_side
from server_app.records.journal import Line
from server_app.records.run_dir import RunDir
from server_app.tracking.numbers import numbers_of
from server_app.tracking.trackers import Tracker, tracker

MOST_WAITING = 10_000
"""Lines that wait for a slow tracker; what comes then is lost to it."""
LAST_S = 30.0
"""How long the end of a run waits for a tracker."""

_log = logging.getLogger(__name__)


class Follower:
    """Listens to a journal, and tells one tracker.

    Args:
        name: The tracker's.
        run: The run.
        about: What the run is, where it is continued: its first ``start`` line.
    """

    def __init__(self, name: str, run: RunDir, about: Mapping[str, Any] | None = None) -> None:
        self._name, self._run, self._about = name, run, about
        self._lines: queue.Queue[Line] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._follow, name=f"tracking by {name}", daemon=True)
        self._thread.start()

    def __call__(self, line: Line) -> None:
        """Hear of a line of the journal; returns at once but for the last one, after at most `LAST_S`."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            return
        if line["phase"] == "end":
            self._thread.join(LAST_S)
            if self._thread.is_alive():
                _log.warning("%s hasn't taken everything after %.0f s; %s", self._name, LAST_S, self._again())

    def _follow(self) -> None:
        try:
            self._pass_on(iter(self._lines.get, None))
        except Exception as error:  # whatever its package raises: the run is worth more
            _log.warning("tracking by %s has ended: %r; %s", self._name, error, self._again())

    def _pass_on(self, lines: Iterable[Line]) -> None:
        to: Tracker | None = None
        for line in lines:
            if to is None:
                to = tracker(self._name, self._run, self._about or line)
            tell(to, self._run, line)
            if line["phase"] == "end":
                to.finish()
                return

    def _again(self) -> str:
        return f"'fedvsr track {self._run.path} --to {self._name}' does it afterwards"


def tell(to: Tracker, run: RunDir, line: Line) -> None:
    """Pass one line on, with the crops of its round if it is a scoring."""
    if numbers := numbers_of(line):
        to.numbers(line["round"], numbers)
    if line["phase"] == "evaluate":
        pixels = side_by_side(run.crop_series, line["round"])
        if pixels is not None:
            to.picture(line["round"], "crops", pixels)
